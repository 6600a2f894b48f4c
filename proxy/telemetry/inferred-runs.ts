/**
 * Runs of clients that bring neither label, session nor trace: which of the agents at work under one name does a call
 * belong to? Clues, best first: the sequence of request ids (a client counts its own requests), handles (what a result
 * held and arguments use), the connection, and the pause since the last call. Rules and their worth: docs/decisions/006.
 * Knows no HTTP and no event. Everything is bounded; what workers tell each other are names, counters and hashes, never texts.
 */
import { newTraceId } from './random.ts'
import {
  areShared,
  type Clue,
  CONFLICTS_MIN,
  forget,
  type Group,
  hasIdleConnection,
  isClientPerCall,
  isRestart,
  isStartBeside,
  ownerOf,
  type Run,
  Thread,
  worthOf,
} from './run-threads.ts'

/** What decided. Two clues that agree are joined by "+". */
export type Evidence =
  | 'first'
  | 'start'
  | 'sequence'
  | 'sequence+connection'
  | 'sequence+handle'
  | 'handle'
  | 'connection'
  | 'alone'
  | 'recent'

/** Percent of the calls a clue put into the right run, as measured on the cases of bench/results/runs.json, rounded down to fives: harder traffic than most. */
export const CONFIDENCE: Readonly<Record<Evidence, number>> = {
  first: 90,
  'sequence+connection': 85,
  sequence: 80,
  alone: 80,
  'sequence+handle': 75,
  start: 70,
  connection: 70,
  handle: 65,
  recent: 65,
}

/** A run and how it was found; tell `endOfInferred` when its call has ended. */
export type Inferred = {
  readonly trace_id: string
  readonly evidence: Evidence
  readonly thread: Thread
  /** Only of a run that an introduction began: it turns out to be a session, whose calls need no inference. */
  readonly leave?: () => void
}

/** What one worker tells the others of a call: enough to go on with its thread. */
export type RunNews = {
  name: string
  endpoint: string
  prefix: string | null
  n: number
  connection: string
  run: string
  isToolCall: boolean
  handles?: readonly number[]
  isGone?: boolean
}

type Choice = { run: Run; thread: Thread; evidence: Evidence }

const GROUPS_MAX = 10_000
const THREADS_MAX = 128
const CONNECTIONS_MAX = 8
const HANDLES_MAX = 50_000
const WORTH_MIN = 1
/** An agent connects to its servers together. */
const TOGETHER_US = 5_000_000

export class InferredRuns {
  readonly #groups = new Map<string, Group>()
  /** Handle → trace id of the one run whose results held it, '' when several did. */
  readonly #handles = new Map<number, string>()
  /** Told of every call, so that other workers can learn; null where there are none. */
  onNews: ((news: RunNews) => void) | null = null

  /** The run of a call that begins now. */
  assign(clue: Clue, now_us: number, gap_us: number): Inferred {
    const group = this.#group(clue.name)
    forget(group, now_us - gap_us)
    const chosen = this.#bySequence(group, clue, now_us) ?? this.#otherwise(group, clue, now_us)
    const run = chosen?.run ?? { trace_id: newTraceId(), started_us: now_us, last_us: now_us, calls_open: 0 }
    const evidence = chosen?.evidence ?? (group.threads.length === 0 ? 'first' : 'start')
    const thread = chosen?.thread ?? this.#begin(group, run, clue.endpoint, clue.sequence, now_us)
    this.#note(group, thread, clue.sequence?.n ?? 0, clue.connection, clue.isToolCall, now_us)
    run.calls_open++
    this.#tell(clue, thread)
    return { trace_id: run.trace_id, evidence, thread }
  }

  /** A run of its own begins: a client has introduced itself. */
  begin(clue: Clue, now_us: number, gap_us: number): Inferred {
    const group = this.#group(clue.name)
    forget(group, now_us - gap_us)
    const run = { trace_id: newTraceId(), started_us: now_us, last_us: now_us, calls_open: 1 }
    const thread = this.#begin(group, run, clue.endpoint, clue.sequence, now_us)
    this.#note(group, thread, clue.sequence?.n ?? 0, clue.connection, false, now_us)
    this.#tell(clue, thread)
    const leave = (): void => {
      run.last_us = Number.NEGATIVE_INFINITY
      this.#tell(clue, thread, true)
    }
    return { trace_id: run.trace_id, evidence: 'start', thread, leave }
  }

  /** Handles that a result of the run held. */
  held(trace_id: string, handles: readonly number[], name: string): void {
    this.#hold(trace_id, handles)
    if (handles.length > 0)
      this.onNews?.({
        name,
        endpoint: '',
        prefix: null,
        n: 0,
        connection: '',
        run: trace_id,
        isToolCall: false,
        handles,
      })
  }

  /** What another worker has seen. */
  heard(news: RunNews, now_us: number): void {
    if (news.handles) return this.#hold(news.run, news.handles)
    const group = this.#group(news.name)
    const same = group.threads.filter((t) => t.run.trace_id === news.run)
    if (news.isGone) {
      for (const { run } of same) run.last_us = Number.NEGATIVE_INFINITY
      return
    }
    const run = same[0]?.run ?? { trace_id: news.run, started_us: now_us, last_us: now_us, calls_open: 0 }
    const sequence = news.prefix === null ? null : { prefix: news.prefix, n: news.n }
    const thread =
      same.findLast(
        (t) => t.endpoint === news.endpoint && t.prefix === news.prefix && !isRestart(t, news.n),
      ) ?? this.#begin(group, run, news.endpoint, sequence, now_us)
    const connection = news.connection === '' ? null : { name: news.connection, isOpen: null }
    this.#note(group, thread, news.n, connection, news.isToolCall, now_us)
  }

  #tell(clue: Clue, { run, prefix }: Thread, isGone = false): void {
    this.onNews?.({
      name: clue.name,
      endpoint: clue.endpoint,
      prefix,
      n: clue.sequence?.n ?? 0,
      connection: clue.connection?.name ?? '',
      run: run.trace_id,
      isToolCall: clue.isToolCall,
      ...(isGone ? { isGone } : {}),
    })
  }

  /** The thread whose next number the call bears; null when none fits. */
  #bySequence(group: Group, clue: Clue, now_us: number): Choice | null {
    const { sequence, connection } = clue
    if (sequence === null) return null
    const isHere = (t: Thread): boolean => t.endpoint === clue.endpoint && t.prefix === sequence.prefix
    const isShared = areShared(group)
    const owner = connection === null || isShared ? null : ownerOf(group, connection.name)
    // A program's second client, or one whose first call was taken for another's.
    if (owner && !group.threads.some((t) => t.run === owner && isHere(t))) return null
    let best = 0
    let pool: Thread[] = []
    for (const thread of group.threads) {
      const fit = isHere(thread) ? thread.fit(sequence.n) : 0
      if (fit === 0) continue
      const worth = 2 * fit + (connection ? worthOf(group, thread, owner, isShared, now_us) : 0)
      if (worth < WORTH_MIN || worth < best) continue
      if (worth > best) pool = []
      best = worth
      pool.push(thread)
    }
    if (pool.length === 0) return null
    const isSame = owner !== null && pool[0]!.run === owner
    if (pool.length === 1 && owner && pool[0]!.fit(sequence.n) === 2)
      if (isSame) group.agreements++
      else group.conflicts++
    if (pool.length === 1 && isSame)
      return { run: pool[0]!.run, thread: pool[0]!, evidence: 'sequence+connection' }
    const voted = this.#voted(clue)
    const voter = voted && pool.find((t) => t.run.trace_id === voted)
    if (voter) return { run: voter.run, thread: voter, evidence: 'sequence+handle' }
    // Whoever has waited longer is more likely to be next.
    const thread = pool.reduce((a, b) => (b.last_us < a.last_us ? b : a))
    const rival = voted && group.threads.find((t) => isHere(t) && t.run.trace_id === voted)
    if (rival && (thread.isDoubtful || rival.isDoubtful)) {
      // Two threads that count alike were taken for each other at an earlier call.
      const run = thread.run
      thread.run = rival.run
      rival.run = run
      return { run: thread.run, thread, evidence: 'handle' }
    }
    if (pool.length > 1) {
      for (const t of pool) t.isDoubtful = true
      return { run: thread.run, thread, evidence: 'recent' }
    }
    const evidence = isSame ? 'sequence+connection' : thread.fit(sequence.n) === 2 ? 'sequence' : 'alone'
    return { run: thread.run, thread, evidence }
  }

  /** A client that is new here, or whose ids say nothing. Null: a run of its own. */
  #otherwise(
    group: Group,
    clue: Clue,
    now_us: number,
  ): { run: Run; thread: Thread | null; evidence: Evidence } | null {
    if (group.threads.length === 0) return null
    const { sequence, connection, endpoint } = clue
    const here =
      sequence && group.threads.filter((t) => t.endpoint === endpoint && t.prefix === sequence.prefix)
    // One client object counts on: whoever has got as far is not starting again.
    const taken = new Set(here?.filter((t) => t.next > sequence!.n).map((t) => t.run))
    const found = (run: Run, evidence: Evidence) => {
      const own = (t: Thread): boolean => t.run === run && t.endpoint === endpoint && t.prefix === null
      return { run, thread: sequence ? null : (group.threads.find(own) ?? null), evidence }
    }
    const voted = this.#voted(clue)
    const voter = voted && group.threads.find((t) => t.run.trace_id === voted)
    if (voter) return found(voter.run, 'handle')
    // Whoever has just got an answer goes on; whoever still waits for one does not, as a rule.
    const newest = (runs: Iterable<Run>): Run =>
      [...runs].reduce((a, b) => {
        const isFree = Number(b.calls_open === 0) - Number(a.calls_open === 0)
        return isFree > 0 || (isFree === 0 && b.last_us >= a.last_us) ? b : a
      })
    const free = group.threads.filter((t) => !taken.has(t.run))
    if (here && isClientPerCall(here, clue)) {
      const thread = here.at(-1)!
      thread.restart(sequence!.n)
      return { run: thread.run, thread, evidence: 'alone' }
    }
    if (here && isStartBeside(group, clue, taken)) group.conflicts += CONFLICTS_MIN
    const joined = new Set(free.filter((t) => connection && t.uses(connection.name)).map((t) => t.run))
    if (joined.size > 0) return found(newest(joined), joined.size === 1 ? 'connection' : 'recent')
    const alive = new Set(free.map((t) => t.run))
    // Several clients of one agent, connected at once; or ids that say nothing, and no idle connection that speaks against it.
    const likely = [...alive].filter((run) =>
      sequence && sequence.n <= 1 ? now_us - run.started_us <= TOGETHER_US : !hasIdleConnection(group, run),
    )
    if (likely.length === 0) return null
    return found(newest(likely), likely.length === 1 ? 'alone' : 'recent')
  }

  /** The run whose results alone held what the arguments use; '' when there is none, or several. */
  #voted(clue: Clue): string {
    if (this.#handles.size === 0) return ''
    let voted = ''
    for (const handle of clue.handles()) {
      const run = this.#handles.get(handle) ?? ''
      if (run === '' || run === voted) continue
      if (voted !== '') return ''
      voted = run
    }
    return voted
  }

  #hold(trace_id: string, handles: readonly number[]): void {
    for (const handle of handles) {
      const known = this.#handles.get(handle)
      if (known === trace_id) continue
      if (known === undefined && this.#handles.size >= HANDLES_MAX)
        this.#handles.delete(this.#handles.keys().next().value!)
      this.#handles.set(handle, known === undefined ? trace_id : '')
    }
  }

  #group(name: string): Group {
    const known = this.#groups.get(name)
    if (known) {
      // Only worth its price when somebody has to go.
      if (this.#groups.size >= GROUPS_MAX) {
        this.#groups.delete(name)
        this.#groups.set(name, known)
      }
      return known
    }
    if (this.#groups.size >= GROUPS_MAX) this.#groups.delete(this.#groups.keys().next().value!)
    const group: Group = { threads: [], agreements: 0, conflicts: 0 }
    this.#groups.set(name, group)
    return group
  }

  #begin(group: Group, run: Run, endpoint: string, sequence: Clue['sequence'], now_us: number): Thread {
    if (group.threads.length >= THREADS_MAX) {
      const oldest = group.threads.reduce((a, b) => (b.last_us < a.last_us ? b : a))
      group.threads.splice(group.threads.indexOf(oldest), 1)
    }
    const thread = new Thread(run, endpoint, sequence?.prefix ?? null, sequence?.n ?? 0, now_us)
    group.threads.push(thread)
    return thread
  }

  #note(
    group: Group,
    thread: Thread,
    n: number,
    connection: Thread['connections'][number] | null,
    isToolCall: boolean,
    now_us: number,
  ): void {
    thread.last_us = thread.run.last_us = now_us
    if (thread.prefix !== null) thread.take(n)
    if (isToolCall) thread.tool_calls++
    if (connection === null || thread.connections[0]?.name === connection.name) return
    // A connection is one program's: an earlier guess that it was another's was wrong, or it is shared and says little anyway.
    for (const other of group.threads)
      if (other.run !== thread.run)
        other.connections = other.connections.filter((c) => c.name !== connection.name)
    thread.connections = [connection, ...thread.connections.filter((c) => c.name !== connection.name)].slice(
      0,
      CONNECTIONS_MAX,
    )
  }
}

/** A call whose run was inferred has ended. */
export function endOfInferred({ thread }: Inferred, now_us: number): void {
  const { run } = thread
  if (run.calls_open > 0) run.calls_open--
  if (run.last_us < now_us && run.last_us >= 0) run.last_us = now_us
}
