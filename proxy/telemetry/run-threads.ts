/**
 * What a worker remembers of runs: threads (one client object each, counting its requests), and what can be told of them.
 * Knows no rule of choice; those are in inferred-runs.ts.
 */

/** Connections are taken for shared when conflicts are not few, and more than a third of the agreements. */
export const CONFLICTS_MIN = 4
const SHARED_SHARE = 3
const AHEAD_MAX = 8
const JUST_ANSWERED_US = 30_000
/** So many clients in a row that made one tool call each: a program that makes a client for every call. */
const ONE_CALL_CLIENTS = 3

/** A connection as the worker sees it; `isOpen` says false once it has ended. */
export type Connection = { readonly name: string; isOpen(): boolean }

/** What a request offers. */
export type Clue = {
  /** Caller and client: calls under different names never share a run. */
  readonly name: string
  readonly endpoint: string
  /** The request id taken apart: text before the number, and the number; null when it is none of a sequence. */
  readonly sequence: { readonly prefix: string; readonly n: number } | null
  readonly connection: Connection | null
  /** Hashes of the handles in the arguments; asked only when something else is not enough. */
  handles(): readonly number[]
  readonly isToolCall: boolean
}

export type Run = {
  readonly trace_id: string
  readonly started_us: number
  last_us: number
  calls_open: number
}

/** One client object of an agent: its requests to one endpoint are numbered through. */
export class Thread {
  run: Run
  readonly endpoint: string
  /** Null for ids that are no sequence. */
  readonly prefix: string | null
  first: number
  next: number
  /** Bit i: the number next - 1 - i has been seen. */
  seen = 1
  /** Last used first. */
  connections: (Connection | { readonly name: string; isOpen: null })[] = []
  last_us: number
  tool_calls = 0
  /** Once it was only guessed which of several threads a call belonged to. */
  isDoubtful = false

  constructor(run: Run, endpoint: string, prefix: string | null, n: number, now_us: number) {
    this.run = run
    this.endpoint = endpoint
    this.prefix = prefix
    this.first = n
    this.next = n + 1
    this.last_us = now_us
  }

  /** Another client of the same program counts from `n` on. */
  restart(n: number): void {
    this.first = n
    this.next = n + 1
    this.seen = 1
    this.tool_calls = 0
  }

  /** 2: the next number; 1: one that parallel calls may have let overtake; 0: not of this thread. */
  fit(n: number): 0 | 1 | 2 {
    const ahead = n - this.next
    if (ahead === 0) return 2
    if (ahead > 0) return ahead <= AHEAD_MAX ? 1 : 0
    return n > this.first && ahead >= -31 && ((this.seen >>> (-ahead - 1)) & 1) === 0 ? 1 : 0
  }

  take(n: number): void {
    const ahead = n - this.next
    if (ahead >= 0) {
      this.seen = ahead >= 31 ? 1 : (this.seen << (ahead + 1)) | 1
      this.next = n + 1
    } else if (ahead >= -31) this.seen |= 1 << (-ahead - 1)
  }

  uses(name: string): boolean {
    return this.connections.some((c) => c.name === name)
  }
}

export type Group = {
  threads: Thread[]
  /** How often the connection of a call and its number named one thread, and two. */
  agreements: number
  conflicts: number
}

/** Drops what was last used before `since_us`. A run lives as long as one of its threads. */
export function forget(group: Group, since_us: number): void {
  for (const { run } of group.threads)
    if (run.last_us < since_us) {
      group.threads = group.threads.filter((t) => t.run.last_us >= since_us)
      return
    }
}

/** What the connection of a call says for a thread whose number fits. `owner`: whose connection it is, as far as is known. */
export function worthOf(
  group: Group,
  { run }: Thread,
  owner: Run | null,
  isShared: boolean,
  now_us: number,
): number {
  if (isShared) return run.calls_open > 0 ? -1 : 0
  if (owner !== null) return run === owner ? 3 : -2
  // A new connection is opened by whoever has none that waits.
  return isBusy(run, now_us) || !hasIdleConnection(group, run) ? 1 : -1
}

/** Whether several programs come over one connection, as behind a reverse proxy, or several agents of one program. */
export const areShared = (group: Group): boolean =>
  group.conflicts >= CONFLICTS_MIN && group.conflicts * SHARED_SHARE > group.agreements

export const ownerOf = (group: Group, connection: string): Run | null =>
  group.threads.find((t) => t.uses(connection))?.run ?? null

/** In a call, or so shortly after one that its connection may not be free again. */
const isBusy = (run: Run, now_us: number): boolean =>
  run.calls_open > 0 || now_us - run.last_us < JUST_ANSWERED_US

/** Whether a number says that a client began anew, rather than that an old call came late. */
export const isRestart = (thread: Thread, n: number): boolean =>
  thread.prefix !== null && n <= 1 && thread.fit(n) === 0

/**
 * Whether the last clients on this endpoint were done after one call: a program that makes a client for every call, or
 * numbers every call alike. Not agents that start together: those have connections of their own.
 */
export function isClientPerCall(here: readonly Thread[], { sequence, connection }: Clue): boolean {
  const isDone = (t: Thread): boolean =>
    t.run.calls_open === 0 && (t.tool_calls === 1 || (t.first === sequence!.n && t.next === t.first + 1))
  const isLeft = (t: Thread): boolean => t.connections[0]?.isOpen?.() === false
  // None: a later client came over it.
  const isSame = (t: Thread): boolean =>
    t.connections.length === 0 || t.connections[0]?.name === connection?.name
  const last = here.slice(-ONE_CALL_CLIENTS)
  const latest = last.at(-1)
  if (!latest || !isDone(latest)) return false
  return (
    isLeft(latest) ||
    (last.length === ONE_CALL_CLIENTS && last.every((t) => isDone(t) && (isSame(t) || isLeft(t))))
  )
}

/** Whether a client starts on the connection of another that has just been at work: one connection for several agents. */
export const isStartBeside = (
  group: Group,
  { sequence, connection }: Clue,
  taken: ReadonlySet<Run>,
): boolean =>
  connection !== null && sequence !== null && sequence.n <= 1 && taken.has(ownerOf(group, connection.name)!)

/** Whether a run has a connection that waits: its agent would have used that one. */
export const hasIdleConnection = (group: Group, run: Run): boolean =>
  run.calls_open === 0 && group.threads.some((t) => t.run === run && t.connections[0]?.isOpen?.() === true)
