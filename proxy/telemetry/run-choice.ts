/**
 * Which run a call is likely of: every possibility gets a weight (roughly the logarithm of its odds) from what the clues say,
 * and how far the best one is ahead tells how sure it is. Changes nothing. What the weights go by: docs/decisions/006.
 */
import { type Clue, type Group, ownerOf, type Placed, type Run, runsOf, type Thread } from './run-threads.ts'

/**
 * next: bears the next number of `thread`, or one near it. joins: another client object of the run, or one whose ids say nothing.
 * new: a run of its own. repair: `thread` was taken for another run's, and is `run`'s. double: the number is there already,
 * from a call that was another's. evicts: `thread` was taken for `run`'s beginning, is `evicted`'s, and the call is the beginning.
 */
export type Way = 'next' | 'joins' | 'new' | 'repair' | 'double' | 'evicts'
export type Option = {
  readonly way: Way
  readonly run: Run | null
  readonly thread: Thread | null
  readonly evicted: Run | null
  readonly weight: number
  /** When it was last heard of. */
  readonly last_us: number
}
export type Judged = {
  readonly best: Option
  /** Share of the likelihood that the best run has: 0 to 1. */
  readonly share: number
  /** Threads that were nearly as likely. */
  readonly rivals: readonly Thread[]
  /** Whose connection it came over, and whose results held what its arguments use; null when not known. */
  readonly owner: Run | null
  readonly voter: Run | null
  /** Only one thread has come to this number. */
  readonly isUnique: boolean
}

const NEXT = 4
/** Not the next number: calls at once overtake each other. */
const OVERTAKES = 1
const OVERTAKES_AT_ONCE = 3
/** Calls at once come within this time of each other. */
const AT_ONCE_US = 4_000
const AT_ONCE = 1.5
/** Over a connection that is free, while an earlier call has no answer yet. */
const WAITS = -1
const VOTE = 5
const VOTE_AGAINST = -3
/** What a connection says before its client name has shown how it uses them: as after so many. */
const AGREED_AT_FIRST = 10
const CONFLICTED_AT_FIRST = 0.5
export const CONNECTION_MAX = 4
/** A connection that says less than this is not believed against the numbers. */
const WITNESS_MIN = 1.5
/** A new connection is opened by whoever has none that is free. */
const BUSY = 0.7
const IDLE = -1.5
/** So shortly after an answer its connection may not be free again. */
const JUST_ANSWERED_US = 30_000
/** Another worker's connection is taken for open so long after its last call. */
const KEPT_US = 4_000_000
/** Somebody who introduced himself goes on at once, and connects to his servers together. */
const SOON_US = 5_000_000
const INTRODUCED = 3
const INTRODUCED_LONG_AGO = 1
const INTRODUCED_TWICE = -3
/** Its first numbers are not there. */
const MISSED = -2
const ANOTHER_SERVER = 1.5
const ANOTHER_SERVER_LATER = -1
const AT_WORK = 1
const BEGINS_AGAIN = -1
/** One client object counts on: whoever has got as far is not starting again. */
const PASSED = -6
/** Its last client made one call and is gone, or came the same way; or nothing is known of its connections. */
const CLIENT_PER_CALL = 1.5
const CLIENT_PER_CALL_UNSEEN = -2
const NEW = { introduction: 0, beginning: -0.5, other: -2, middle: -4, notification: -10 } as const
/** About half as likely as the best. */
const RIVAL = 0.7

const isIntroducedOnly = (t: Thread): boolean => t.isIntroduced && t.calls === 1
const isAtOnce = (t: Thread, now_us: number): boolean => now_us - t.begun_us < AT_ONCE_US
const lastOf = (t: Thread): number => Math.max(t.begun_us, t.ended_us)
const lastIn = (own: readonly Thread[]): number => own.reduce((last, t) => Math.max(last, lastOf(t)), 0)
const isOpenIn = (own: readonly Thread[]): boolean => own.some((t) => t.open > 0)
/** How much a doubt (0 to 1) takes off. */
const odds = (doubt: number): number => Math.log(doubt / (1 - doubt))

/** What it says that a connection was a run's: much, until several agents are seen on one. */
export function trustIn({ agreements, conflicts }: Group): number {
  const trust = Math.log((agreements + AGREED_AT_FIRST) / (conflicts + CONFLICTED_AT_FIRST))
  return Math.min(CONNECTION_MAX, Math.max(0, trust))
}

/** How likely it is that two threads have been taken for each other where they would part: 0 to 1. */
export function doubtBetween(mine: Thread, other: Thread, n: number): number {
  return mine.next > n ? mine.doubt(n) : other.doubt(mine.next)
}

/** One call before the runs at work under its name. */
class Choice {
  readonly #clue: Clue
  readonly #now_us: number
  readonly #voted: Placed | null
  readonly #runs: ReadonlyMap<Run, readonly Thread[]>
  readonly #options: Option[] = []
  readonly #trust: number
  readonly #connectionScale: number
  readonly #n: number
  readonly #prefix: string | null
  readonly owner: Run | null
  readonly voter: Run | null

  constructor(group: Group, clue: Clue, voted: Placed | null, now_us: number) {
    this.#clue = clue
    this.#voted = voted
    this.#now_us = now_us
    this.#n = clue.sequence?.n ?? 0
    this.#prefix = clue.sequence?.prefix ?? null
    const held = clue.connection === null ? null : ownerOf(group, clue.connection.name)
    this.owner = held?.run ?? null
    this.voter = voted?.thread.run ?? null
    const usual = trustIn(group)
    this.#trust = held && held.doubt > 0 ? Math.min(usual, Math.max(0, -odds(held.doubt))) : usual
    this.#connectionScale = usual / CONNECTION_MAX
    this.#runs = runsOf(group)
  }

  judge(): Judged {
    for (const [run, own] of this.#runs) this.#consider(run, own)
    this.#add('new', null, null, this.#beginning(), Number.POSITIVE_INFINITY)
    const { owner, voter } = this
    const witness = voter ?? (this.#trust >= WITNESS_MIN ? owner : null)
    if (witness && this.#prefix !== null && !this.#clue.isIntroduction) {
      this.#repair(witness)
      if (witness !== voter && this.#n <= 1) this.#evict(witness)
    }
    // Whoever has waited longer is more likely to be next.
    const best = this.#options.reduce((a, b) =>
      b.weight > a.weight || (b.weight === a.weight && b.last_us < a.last_us) ? b : a,
    )
    let sum = 1
    let numbered = 0
    const rivals: Thread[] = []
    for (const option of this.#options) {
      if (option.way === 'next') numbered++
      // Several ways to the best run are one possibility.
      if (option.run === best.run) continue
      const behind = best.weight - option.weight
      sum += Math.exp(-behind)
      if (option.thread !== null && behind < RIVAL) rivals.push(option.thread)
    }
    return { best, share: 1 / sum, rivals, owner, voter, isUnique: numbered === 1 }
  }

  #add(
    way: Way,
    run: Run | null,
    thread: Thread | null,
    weight: number,
    last_us: number,
    evicted: Run | null = null,
  ): void {
    this.#options.push({ way, run, thread, evicted, weight, last_us })
  }

  #isHere(thread: Thread): boolean {
    return thread.endpoint === this.#clue.endpoint && thread.prefix === this.#prefix
  }

  #consider(run: Run, own: readonly Thread[]): void {
    const aside = this.#aside(run, own)
    let isAny = false
    if (this.#prefix !== null)
      for (const thread of own) {
        const fit = this.#isHere(thread) ? thread.fit(this.#n) : 0
        if (fit === 0) continue
        isAny = true
        this.#add('next', run, thread, this.#number(thread, fit) + aside, lastOf(thread))
      }
    if (!isAny) this.#add('joins', run, null, this.#joining(run, own) + aside, lastIn(own))
  }

  /** What connection and handles say of a run, whatever its numbers. */
  #aside(run: Run, own: readonly Thread[]): number {
    const vote = this.voter === null ? 0 : run === this.voter ? VOTE : VOTE_AGAINST
    if (this.#clue.connection === null) return vote
    if (this.owner !== null) return vote + (run === this.owner ? this.#trust : -this.#trust)
    // Whoever has only introduced himself goes on over whatever connection.
    if (own.every(isIntroducedOnly)) return vote
    if (this.#isBusy(own)) return vote + BUSY * this.#connectionScale
    return vote + (this.#hasIdleConnection(own) ? IDLE * this.#connectionScale : 0)
  }

  #isBusy(own: readonly Thread[]): boolean {
    return isOpenIn(own) || this.#now_us - lastIn(own) < JUST_ANSWERED_US
  }

  #hasIdleConnection(own: readonly Thread[]): boolean {
    for (const t of own) {
      const last = t.connections[0]
      if (last !== undefined && (last.isOpen?.() ?? this.#now_us - t.run.last_us < KEPT_US)) return true
    }
    return false
  }

  #number(thread: Thread, fit: 1 | 2): number {
    if (isAtOnce(thread, this.#now_us)) return fit === 2 ? NEXT + AT_ONCE : OVERTAKES_AT_ONCE
    const isFree = this.#clue.connection === null || this.owner !== null
    const waits = thread.open > 0 && isFree ? WAITS : 0
    if (fit === 2) return NEXT + waits
    return waits + (thread.open > 0 ? OVERTAKES_AT_ONCE : OVERTAKES)
  }

  #joining(run: Run, own: readonly Thread[]): number {
    const { endpoint, isIntroduction } = this.#clue
    const here = own.filter((t) => t.endpoint === endpoint)
    if (here.length === 0)
      return this.#now_us - run.started_us <= SOON_US ? ANOTHER_SERVER : ANOTHER_SERVER_LATER
    if (this.#prefix !== null && here.some((t) => t.prefix === this.#prefix && t.next > this.#n))
      return this.#clientPerCall(run, own, here.at(-1)!)
    if (here.every(isIntroducedOnly)) {
      if (isOpenIn(here) || isIntroduction) return INTRODUCED_TWICE
      const isSoon = this.#now_us - lastIn(own) <= SOON_US
      return (isSoon ? INTRODUCED : INTRODUCED_LONG_AGO) + (this.#n > 0 ? MISSED : 0)
    }
    if (isIntroduction) return INTRODUCED_TWICE
    if (this.#prefix !== null) return this.#n <= 1 ? BEGINS_AGAIN : AT_WORK
    return AT_WORK + (own.some((t) => isAtOnce(t, this.#now_us)) ? AT_ONCE : 0)
  }

  /** Whether it is a program that makes a client for every call, or numbers every call alike. */
  #clientPerCall(run: Run, own: readonly Thread[], last: Thread): number {
    if (isOpenIn(own) || last.tool_calls !== 1) return PASSED
    if (last.connections.length === 0) return CLIENT_PER_CALL_UNSEEN
    const isSame = run === this.owner && this.#trust >= WITNESS_MIN
    return isSame || last.connections.every((c) => c.isOpen?.() === false) ? CLIENT_PER_CALL : PASSED
  }

  #beginning(): number {
    if (this.#clue.isNotification) return NEW.notification
    if (this.#clue.isIntroduction) return NEW.introduction
    if (this.#prefix === null) return NEW.other
    return this.#n <= 1 ? NEW.beginning : NEW.middle
  }

  /** The call is `run`'s by connection or handle, but not by its number: what was taken for another's may be its. */
  #repair(run: Run): void {
    const own = this.#runs.get(run)
    if (!own || own.some((t) => this.#isHere(t) && t.fit(this.#n) === 2)) return
    const mine = own.find((t) => this.#isHere(t))
    const aside = this.#aside(run, own) + NEXT
    const doubled = mine?.doubtAt(this.#n) ?? 0
    if (mine && doubled > 0 && this.#n > mine.first)
      this.#add('double', run, mine, aside - 1 + odds(doubled), 0)
    // What a later call's result held cannot have been used by an earlier one.
    if (mine && mine === this.#voted?.thread && this.#voted.n >= this.#n) return
    for (const [other, theirs] of this.#runs)
      if (other !== run)
        for (const thread of theirs) {
          if (!this.#isHere(thread) || thread.fit(this.#n) !== 2) continue
          const doubt = mine ? doubtBetween(mine, thread, this.#n) : thread.joinDoubt
          if (doubt > 0) this.#add('repair', run, thread, aside + odds(doubt), lastOf(thread))
        }
  }

  /** What was taken for `run`'s beginning may be that of somebody who has only introduced himself. */
  #evict(run: Run): void {
    const { endpoint } = this.#clue
    const own = this.#runs.get(run)!
    const taken = own.find((t) => this.#isHere(t) && t.next === this.#n + 1 && t.joinDoubt > 0)
    if (!taken) return
    const weight = INTRODUCED + odds(taken.joinDoubt) + this.#aside(run, own)
    for (const [other, theirs] of this.#runs) {
      const here = theirs.filter((t) => t.endpoint === endpoint)
      if (other !== run && here.length > 0 && here.every(isIntroducedOnly) && !isOpenIn(theirs))
        this.#add('evicts', run, taken, weight, lastIn(theirs), other)
    }
  }
}

/** Weighs the possibilities. `voted`: the call whose result held what the arguments use. */
export const judge = (group: Group, clue: Clue, voted: Placed | null, now_us: number): Judged =>
  new Choice(group, clue, voted, now_us).judge()
