/**
 * Runs of clients that bring neither label, session nor trace: which of the agents at work under one name does a call
 * belong to? Clues: the sequence of request ids (a client counts its own requests), handles (what a result held and
 * arguments use), the connection, and the pause since the last call. run-choice.ts weighs them; here the outcome is kept.
 * Knows no HTTP and no event. Everything is bounded; what workers tell each other are names, counters and hashes, never texts.
 */
import { newTraceId } from './random.ts'
import { CONNECTION_MAX, doubtBetween, type Judged, judge, type Option, trustIn } from './run-choice.ts'
import {
  add,
  type Clue,
  close,
  connect,
  countConnection,
  forget,
  type Group,
  give,
  move,
  newGroup,
  ownerOf,
  type Placed,
  type Run,
  Thread,
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

/** A run and how it was found. */
export type Inferred = {
  readonly trace_id: string
  readonly evidence: Evidence
  /** Percent. */
  readonly confidence: number
  readonly name: string
  readonly placed: Placed
  /** Who found it, and is to be told of its end. */
  readonly by: InferredRuns
}

/** What one worker tells the others: a call that began, or (`isEnd`) what became of it. Enough to go on with its thread. */
export type RunNews = {
  name: string
  endpoint: string
  prefix: string | null
  n: number
  run: string
  doubt: number
  connection?: string
  isToolCall?: boolean
  isIntroduction?: boolean
  isNotification?: boolean
  isEnd?: boolean
  /** What its result held. */
  handles?: readonly number[]
  /** The run turned out to be a session. */
  isGone?: boolean
}

const GROUPS_MAX = 10_000
const HANDLES_MAX = 50_000
/** A share below this is a guess among several. */
const GUESS = 0.75
/** Whoever alone comes to the next number, or has it and the connection. */
const SURE = 0.99
/** More doubt than this is weighed against the rest. */
const DOUBT_MAX = 0.1
/** So much a connection has to say (run-choice.ts) to be beyond doubt: four in five of the most. */
const CONNECTION_SURE = 0.8 * CONNECTION_MAX
/** Two threads are taken for exchanged on another worker's word only when that was ever in doubt. */
const DOUBT_MIN = 0.02
/** Counts for this many conflicts: somebody starts on the connection of somebody else. */
const STARTS_BESIDE = 4
/** Part of the distrust that goes when connection, or handle and number, agree again. */
const REGAINED = { connection: 0.3, handle: 0.5 } as const
/** Percent at no likelihood and at all of it, as measured (docs/decisions/006): whoever is guessed wrong is often wrong alike twice. */
const CONFIDENCE = { min: 40, max: 95 } as const

const percentOf = (likelihood: number): number =>
  Math.round(CONFIDENCE.min + (CONFIDENCE.max - CONFIDENCE.min) * likelihood)

export class InferredRuns {
  readonly #groups = new Map<string, Group>()
  /** Handle → the call whose result held it, null when those of several runs did. The older half goes when the newer is full. */
  #handles = new Map<number, Placed | null>()
  #olderHandles = new Map<number, Placed | null>()
  /** Told of every call, so that other workers can learn; null where there are none. */
  onNews: ((news: RunNews) => void) | null = null

  /** The run of a call that begins now; tell `end` when it has ended. */
  assign(clue: Clue, now_us: number, gap_us: number): Inferred {
    const group = this.#group(clue.name)
    forget(group, now_us - gap_us)
    if (group.threads.length === 0) return this.#start(group, clue, 'first', 1, now_us)
    return (
      this.#goOn(group, clue, now_us) ??
      this.#settle(group, clue, judge(group, clue, this.#voted(group, clue), now_us), now_us)
    )
  }

  /** A run of its own begins: a client has introduced itself. */
  begin(clue: Clue, now_us: number, gap_us: number): Inferred {
    const group = this.#group(clue.name)
    forget(group, now_us - gap_us)
    return this.#start(group, clue, group.threads.length === 0 ? 'first' : 'start', 1, now_us)
  }

  /** What `begin` began turns out to be a session, whose calls need no inference. */
  leave({ name, placed }: Inferred): void {
    placed.thread.run.last_us = Number.NEGATIVE_INFINITY
    this.#tell(name, placed, { isGone: true })
  }

  /** Handles that the result of a call held. */
  held({ name, placed }: Inferred, handles: readonly number[]): void {
    if (handles.length === 0) return
    this.#hold(placed, handles)
    // Told with the end of the call: one piece of news, not two.
    if (placed.isOpen) placed.handles = handles
    else this.#tell(name, placed, { isEnd: true, handles })
  }

  /** A call has ended. */
  end({ name, placed }: Inferred, now_us: number): void {
    if (!placed.isOpen) return
    close(placed, now_us)
    const { handles } = placed
    this.#tell(name, placed, handles ? { isEnd: true, handles } : { isEnd: true })
    placed.handles = null
  }

  /** What another worker has seen. */
  heard(news: RunNews, now_us: number): void {
    const group = this.#group(news.name)
    const { endpoint, prefix, n, doubt } = news
    const same = group.threads.filter((t) => t.run.trace_id === news.run)
    if (news.isGone) {
      for (const { run } of same) run.last_us = Number.NEGATIVE_INFINITY
      return
    }
    const isHere = (t: Thread): boolean => t.endpoint === endpoint && t.prefix === prefix
    let thread = same.findLast(isHere)
    if (news.isEnd) {
      const placed = thread?.placed.findLast((p) => p.n === n)
      if (placed) close(placed, now_us)
      if (placed && news.handles) this.#hold(placed, news.handles)
      return
    }
    const clue: Clue = {
      name: news.name,
      endpoint,
      sequence: prefix === null ? null : { prefix, n },
      connection: news.connection ? { name: news.connection, isOpen: null } : null,
      handles: () => [],
      isToolCall: news.isToolCall === true,
      isIntroduction: news.isIntroduction === true,
      isNotification: news.isNotification === true,
    }
    const run = same[0]?.run ?? { trace_id: news.run, started_us: now_us, last_us: now_us }
    if (thread && prefix !== null && thread.fit(n) === 0) {
      const other = group.threads.find((t) => isHere(t) && t.run !== run && t.fit(n) === 2)
      if (other && doubtBetween(thread, other, n) > DOUBT_MIN) thread = give(group, run, other, doubt)
      else if (n <= 1) thread.restart(n)
    }
    thread ??= this.#begin(group, run, clue, 1 - doubt, now_us)
    this.#note(group, thread, clue, doubt, now_us)
  }

  /** The next number of whoever is alone at work, or whose connection it is beyond doubt: nothing to weigh. */
  #goOn(group: Group, clue: Clue, now_us: number): Inferred | null {
    const { sequence, endpoint, connection } = clue
    if (sequence === null || clue.isIntroduction) return null
    const { threads } = group
    const held = connection === null ? null : ownerOf(group, connection.name)
    const isSure = held !== null && held.doubt < DOUBT_MAX && trustIn(group) >= CONNECTION_SURE
    const run = isSure ? held.run : threads[0]!.run
    if (!isSure && !threads.every((t) => t.run === run)) return null
    const thread = threads.find(
      (t) => t.run === run && t.endpoint === endpoint && t.prefix === sequence.prefix,
    )
    const fit = thread?.fit(sequence.n) ?? 0
    // Calls at once overtake each other: then it takes the connection to be sure.
    if (fit === 0 || (fit === 1 && !isSure) || thread!.trust < 1 - DOUBT_MAX) return null
    // Where two may have been taken for each other before, both are weighed.
    if ((fit === 1 || group.conflicts > 0) && this.#isNextOfAnother(group, thread!, sequence.n)) return null
    const evidence = held?.run === run ? 'sequence+connection' : 'sequence'
    return this.#place(group, clue, thread!, evidence, SURE, now_us)
  }

  #isNextOfAnother({ threads }: Group, { run, endpoint, prefix }: Thread, n: number): boolean {
    for (const other of threads)
      if (other.run !== run && other.endpoint === endpoint && other.prefix === prefix && other.fit(n) === 2)
        return true
    return false
  }

  #settle(group: Group, clue: Clue, judged: Judged, now_us: number): Inferred {
    const { best, share, rivals, owner, voter } = judged
    if (best.run === null) {
      const isStart = clue.isIntroduction || (clue.sequence?.n ?? 0) <= 1
      if (owner !== null && isStart) countConnection(group, false, STARTS_BESIDE)
      return this.#start(group, clue, 'start', share, now_us)
    }
    const { sequence } = clue
    const isExact = best.way === 'next' && best.thread!.fit(sequence!.n) === 2
    if (owner !== null && best.way !== 'repair' && best.way !== 'evicts') {
      if (voter === best.run) countConnection(group, owner === best.run, 2)
      else if (isExact && judged.isUnique)
        countConnection(group, owner === best.run, best.thread!.doubt(0) > 1 - GUESS ? 0.5 : 1)
    }
    const thread = this.#threadOf(group, clue, best, share, now_us)
    if (voter === best.run && isExact) thread.trust += (1 - thread.trust) * REGAINED.handle
    const found = this.#place(group, clue, thread, evidenceOf(judged, isExact), share, now_us)
    if (share < GUESS) for (const guessed of [thread, ...rivals]) guessed.trust *= share
    else if (owner === best.run) thread.trust += (1 - thread.trust) * REGAINED.connection
    return found
  }

  /** The thread that goes on with the call. */
  #threadOf(group: Group, clue: Clue, best: Option, share: number, now_us: number): Thread {
    const run = best.run!
    if (best.way === 'repair') return give(group, run, best.thread!, 1 - share)
    if (best.way === 'evicts') {
      move(group, best.thread!, best.evicted!, 1 - share)
      return this.#begin(group, run, clue, share, now_us)
    }
    if (best.thread !== null) return best.thread
    const { sequence, endpoint } = clue
    const prefix = sequence?.prefix ?? null
    const own = group.threads.findLast((t) => t.run === run && t.endpoint === endpoint && t.prefix === prefix)
    if (own && sequence === null) return own
    if (own && own.next > sequence!.n) {
      own.restart(sequence!.n)
      return own
    }
    if (clue.isNotification) return group.threads.findLast((t) => t.run === run)!
    return this.#begin(group, run, clue, share, now_us)
  }

  #start(group: Group, clue: Clue, evidence: Evidence, share: number, now_us: number): Inferred {
    const run = { trace_id: newTraceId(), started_us: now_us, last_us: now_us }
    const thread = this.#begin(group, run, clue, share, now_us)
    // Its share is not to count twice.
    thread.trust = 1
    const found = this.#place(group, clue, thread, evidence, share, now_us)
    thread.trust = share
    return found
  }

  #place(
    group: Group,
    clue: Clue,
    thread: Thread,
    evidence: Evidence,
    share: number,
    now_us: number,
  ): Inferred {
    const { name, connection, isToolCall, isIntroduction, isNotification } = clue
    const placed = this.#note(group, thread, clue, 1 - share, now_us)
    if (this.onNews)
      this.#tell(name, placed, {
        ...(connection ? { connection: connection.name } : {}),
        isToolCall,
        isIntroduction,
        isNotification,
      })
    const confidence = percentOf(share * thread.trust)
    return { trace_id: thread.run.trace_id, evidence, confidence, name, placed, by: this }
  }

  #tell(name: string, { thread, n, doubt }: Placed, more: Partial<RunNews>): void {
    const { endpoint, prefix, run } = thread
    this.onNews?.({ name, endpoint, prefix, n, run: run.trace_id, doubt, ...more })
  }

  /** The call whose result held what the arguments use; null when there is none, or several runs did. */
  #voted(group: Group, clue: Clue): Placed | null {
    if (this.#handles.size === 0 && this.#olderHandles.size === 0) return null
    let voted: Placed | null = null
    for (const handle of clue.handles()) {
      const held = this.#heldBy(handle)
      if (!held || !group.threads.includes(held.thread)) continue
      if (voted !== null && held.thread.run !== voted.thread.run) return null
      if (voted === null || held.n > voted.n) voted = held
    }
    return voted
  }

  #heldBy(handle: number): Placed | null | undefined {
    const newer = this.#handles.get(handle)
    return newer === undefined ? this.#olderHandles.get(handle) : newer
  }

  #hold(placed: Placed, handles: readonly number[]): void {
    for (const handle of handles) {
      const known = this.#heldBy(handle)
      if (known === null || known?.thread.run === placed.thread.run) continue
      // Two maps in turn: one from which the first goes for each that comes has to look for it.
      if (this.#handles.size >= HANDLES_MAX / 2) {
        this.#olderHandles = this.#handles
        this.#handles = new Map()
      }
      this.#handles.set(handle, known === undefined ? placed : null)
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
    const group = newGroup()
    this.#groups.set(name, group)
    return group
  }

  #begin(group: Group, run: Run, clue: Clue, share: number, now_us: number): Thread {
    const thread = new Thread(run, clue, share, now_us)
    add(group, thread)
    return thread
  }

  #note(group: Group, thread: Thread, clue: Clue, doubt: number, now_us: number): Placed {
    const { sequence, connection, isNotification } = clue
    const n = sequence?.n ?? thread.calls
    thread.run.last_us = now_us
    if (connection) connect(group, thread, connection, n, doubt)
    const placed: Placed = { thread, n, doubt, isOpen: !isNotification, handles: null }
    if (isNotification) return placed
    thread.begun_us = now_us
    thread.calls++
    thread.open++
    if (clue.isToolCall) thread.tool_calls++
    if (sequence !== null) thread.take(n)
    thread.remember(placed)
    return placed
  }
}

function evidenceOf({ best, share, owner, voter }: Judged, isExact: boolean): Evidence {
  const isNumbered = best.way === 'next'
  if (voter !== null && voter === best.run) return isNumbered ? 'sequence+handle' : 'handle'
  if (owner !== null && owner === best.run) return isNumbered ? 'sequence+connection' : 'connection'
  if (share < GUESS) return 'recent'
  return isExact ? 'sequence' : 'alone'
}
