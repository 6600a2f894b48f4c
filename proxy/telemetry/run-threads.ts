/**
 * What a worker remembers of runs: threads (one client object each, counting its requests), the calls that were put into
 * them, and how far connections can be trusted. Knows no rule of choice; those are in run-choice.ts.
 */

const AHEAD_MAX = 8
const SEEN_MAX = 31
const THREADS_MAX = 128
/** As many calls as an agent has under way at once. */
const CONNECTIONS_MAX = 64
/** Calls a thread remembers, to give back what turns out to be another's. */
const PLACED_MAX = 32
/** Agreements and conflicts are halved at so many, so that habits may change. */
const COUNT_MAX = 200

/** A connection as the worker sees it; `isOpen` says false once it has ended, and is null for those of other workers. */
export type Connection = { readonly name: string; readonly isOpen: (() => boolean) | null }

/** What a request offers. */
export type Clue = {
  /** Caller and client: calls under different names never share a run. */
  readonly name: string
  readonly endpoint: string
  /** The request id taken apart: text before the number, and the number; null when it is none of a sequence. */
  readonly sequence: { readonly prefix: string; readonly n: number } | null
  readonly connection: Connection | null
  /** Hashes of the handles in the arguments; asked only when several runs are possible. */
  handles(): readonly number[]
  readonly isToolCall: boolean
  /** The first that a client says: server/discover or initialize. */
  readonly isIntroduction: boolean
  /** Has no id, and no answer that its client waits for. */
  readonly isNotification: boolean
}

export type Run = {
  readonly trace_id: string
  readonly started_us: number
  last_us: number
}

/** A call that was put into a thread; a later one may show that it is another's. */
export type Placed = {
  thread: Thread
  readonly n: number
  /** How likely it is another's: 0 to 1. */
  readonly doubt: number
  isOpen: boolean
  /** What its result held, until other workers have been told. */
  handles: readonly number[] | null
}

/** A connection of a thread: since which number, and how likely the call that told so was another's. */
type Held = Connection & { readonly n: number; doubt: number }

/** One client object of an agent: its requests to one endpoint are numbered through. */
export class Thread {
  run: Run
  readonly endpoint: string
  /** Null for ids that are no sequence. */
  readonly prefix: string | null
  /** It began with an introduction. */
  readonly isIntroduced: boolean
  first: number
  next: number
  /** Bit i: the number next - 1 - i has been seen. */
  seen = 1
  /** Last used first. */
  connections: Held[] = []
  placed: Placed[] = []
  begun_us: number
  ended_us = 0
  open = 0
  calls = 0
  tool_calls = 0
  /** How likely it is that what comes next here is of this run: 0 to 1. */
  trust: number
  /** How likely it is that it began as another run's: 0 to 1. */
  joinDoubt: number

  constructor(run: Run, { endpoint, sequence, isIntroduction }: Clue, share: number, now_us: number) {
    this.run = run
    this.endpoint = endpoint
    this.prefix = sequence?.prefix ?? null
    this.isIntroduced = isIntroduction
    this.first = sequence?.n ?? 0
    this.next = this.first + 1
    this.begun_us = now_us
    this.trust = share
    this.joinDoubt = 1 - share
  }

  /** Another client of the same program counts from `n` on. */
  restart(n: number): void {
    this.first = n
    this.next = n + 1
    this.seen = 1
    this.calls = 0
    this.tool_calls = 0
  }

  /** 2: the next number; 1: one that parallel calls may have let overtake; 0: not of this thread. */
  fit(n: number): 0 | 1 | 2 {
    const ahead = n - this.next
    if (ahead === 0) return 2
    if (ahead > 0) return ahead <= AHEAD_MAX ? 1 : 0
    return n > this.first && ahead >= -SEEN_MAX && ((this.seen >>> (-ahead - 1)) & 1) === 0 ? 1 : 0
  }

  take(n: number): void {
    const ahead = n - this.next
    if (ahead >= 0) {
      this.seen = ahead >= SEEN_MAX ? 1 : (this.seen << (ahead + 1)) | 1
      this.next = n + 1
    } else if (ahead >= -SEEN_MAX) this.seen |= 1 << (-ahead - 1)
  }

  /** Asked of every thread of a name for every call: a loop, and no closure. */
  holds(connection: string): Held | undefined {
    for (let i = 0; i < this.connections.length; i++)
      if (this.connections[i]!.name === connection) return this.connections[i]
    return undefined
  }

  /** Last used first. Returns the name of the connection that has to go for it. */
  hold({ name, isOpen }: Connection, n: number, doubt: number): string | undefined {
    const { connections } = this
    const known = this.holds(name)
    if (known && doubt < known.doubt) known.doubt = doubt
    if (known && connections[0] === known) return undefined
    if (known) connections.splice(connections.indexOf(known), 1)
    connections.unshift(known ?? { name, isOpen, n, doubt })
    return connections.length > CONNECTIONS_MAX ? connections.pop()!.name : undefined
  }

  release(connection: string): void {
    if (this.holds(connection)) this.connections = this.connections.filter((c) => c.name !== connection)
  }

  remember(placed: Placed): void {
    if (this.placed.push(placed) > PLACED_MAX) this.placed.shift()
  }

  /** How likely it is that the call with number `n` was another's: 0 to 1. */
  doubtAt(n: number): number {
    return this.placed.findLast((p) => p.n === n)?.doubt ?? 0
  }

  /** How likely it is that its calls from number `from` on are another's: 0 to 1. */
  doubt(from: number): number {
    let doubt = 0
    for (const p of this.placed) if (p.n >= from && p.doubt > doubt) doubt = p.doubt
    return doubt
  }
}

/** Two threads that count alike were taken for each other from number `from` on: each gets what was the other's since. */
export function exchange(group: Group, a: Thread, b: Thread, from: number): void {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const)
    for (const p of one.placed) if (p.n >= from) p.thread = other
  const placed = [...a.placed, ...b.placed]
  const held = [...a.connections, ...b.connections]
  const [isOfA, isNew] = [new Set(a.connections), (c: Held): boolean => c.n >= from]
  for (const one of [a, b]) {
    one.placed = placed.filter((p) => p.thread === one)
    const own = held.filter((c) => (isOfA.has(c) === (one === a)) !== isNew(c))
    const sorted = [...own.filter(isNew), ...own.filter((c) => !isNew(c))]
    one.connections = sorted.slice(0, CONNECTIONS_MAX)
    for (const { name } of sorted.slice(CONNECTIONS_MAX)) group.holders.delete(name)
    for (const { name } of one.connections) group.holders.set(name, one)
  }
  for (const key of ['next', 'seen', 'calls', 'tool_calls', 'begun_us', 'ended_us', 'open'] as const) {
    const of = a[key]
    a[key] = b[key]
    b[key] = of
  }
}

export type Group = {
  threads: Thread[]
  /** The same by run; null when it is to be made anew. */
  runs: Map<Run, Thread[]> | null
  /** Connection → the thread that took it last. */
  holders: Map<string, Thread>
  /** How often the connection of a call and what else was known of it named one run, and two. */
  agreements: number
  conflicts: number
}

export const newGroup = (): Group => ({
  threads: [],
  runs: null,
  holders: new Map(),
  agreements: 0,
  conflicts: 0,
})

/** The threads of each run, in order. */
export function runsOf(group: Group): ReadonlyMap<Run, readonly Thread[]> {
  if (group.runs) return group.runs
  const runs = new Map<Run, Thread[]>()
  for (const thread of group.threads) {
    const own = runs.get(thread.run)
    if (own) own.push(thread)
    else runs.set(thread.run, [thread])
  }
  group.runs = runs
  return runs
}

function drop(group: Group, isDropped: (thread: Thread) => boolean): void {
  for (const thread of group.threads)
    if (isDropped(thread))
      for (const { name } of thread.connections)
        if (group.holders.get(name) === thread) group.holders.delete(name)
  group.threads = group.threads.filter((thread) => !isDropped(thread))
  // What others of their runs hold as well is theirs now.
  for (const thread of group.threads)
    for (const { name } of thread.connections) if (!group.holders.has(name)) group.holders.set(name, thread)
  group.runs = null
}

/** Drops what was last used before `since_us`. A run lives as long as one of its threads. */
export function forget(group: Group, since_us: number): void {
  for (const { run } of group.threads)
    if (run.last_us < since_us) {
      drop(group, (thread) => thread.run.last_us < since_us)
      return
    }
}

/** Adds a thread; the run that was silent longest goes when there are too many. */
export function add(group: Group, thread: Thread): void {
  if (group.threads.length >= THREADS_MAX) {
    const oldest = group.threads.reduce((a, b) => (b.run.last_us < a.run.last_us ? b : a))
    drop(group, (one) => one === oldest)
  }
  group.threads.push(thread)
  group.runs = null
}

/** A thread was taken for another run's. `doubt`: how likely that is wrong again. */
export function move(group: Group, thread: Thread, run: Run, doubt: number): void {
  thread.run = run
  thread.joinDoubt = doubt
  for (const held of thread.connections) held.doubt = Math.min(held.doubt, doubt)
  // A connection is one program's: it goes along only where no other of the old run took it since.
  for (const { name } of thread.connections) {
    const holder = group.holders.get(name)
    if (holder === thread) {
      for (const other of group.threads) if (other.run !== run) other.release(name)
    } else if (holder !== undefined && holder.run !== run) thread.release(name)
  }
  group.runs = null
}

export function countConnection(group: Group, isAgreement: boolean, times: number): void {
  if (isAgreement) group.agreements += times
  else group.conflicts += times
  if (group.agreements + group.conflicts < COUNT_MAX) return
  group.agreements /= 2
  group.conflicts /= 2
}

/** Whose connection it is, as far as is known, and how likely that is wrong. */
export function ownerOf({ holders }: Group, connection: string): { run: Run; doubt: number } | null {
  const holder = holders.get(connection)
  const held = holder?.holds(connection)
  return held ? { run: holder!.run, doubt: held.doubt } : null
}

/** A connection is one program's: an earlier guess that it was another's was wrong, or it is shared and says little anyway. */
export function connect(
  { threads, holders }: Group,
  thread: Thread,
  connection: Connection,
  n: number,
  doubt: number,
): void {
  const { name } = connection
  const holder = holders.get(name)
  if (holder !== undefined && holder !== thread)
    for (const other of threads) if (other.run !== thread.run) other.release(name)
  const released = thread.hold(connection, n, doubt)
  if (released !== undefined && holders.get(released) === thread) holders.delete(released)
  holders.set(name, thread)
}

/** Gives a thread that was taken for another's to `run`. Returns the thread that goes on there. */
export function give(group: Group, run: Run, thread: Thread, doubt: number): Thread {
  const mine = group.threads.find(
    (t) => t.run === run && t.endpoint === thread.endpoint && t.prefix === thread.prefix,
  )
  if (mine) {
    exchange(group, mine, thread, Math.min(mine.next, thread.next))
    return mine
  }
  move(group, thread, run, doubt)
  return thread
}

export function close(placed: Placed, now_us: number): void {
  if (!placed.isOpen) return
  placed.isOpen = false
  const { thread } = placed
  if (thread.open > 0) thread.open--
  thread.ended_us = now_us
  if (thread.run.last_us < now_us && thread.run.last_us >= 0) thread.run.last_us = now_us
}
