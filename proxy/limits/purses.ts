/**
 * What this worker holds of limits: units lent by the keeper of counts (the supervisor), and the way to ask for more. Asks of
 * one turn of the loop go in one message. What is not used within a tenth of a second goes back.
 * Invariant: every unit the keeper lent is used, given back, or lost with this process, which the keeper sees.
 */
import { type Need, type Refusal, TIGHT_MS } from '../../limits/bank.ts'
import type { Answer, Ask, Settled } from '../../limits/messages.ts'
import { hasEnd, type Line } from '../../limits/select.ts'

/** What a call holds until it ends. `units`: calls, or nano-dollars set aside. */
export type Hold = { readonly line: Line; readonly units: number; readonly taken_ms: number }

/** The way to the keeper. `ask` rejects when it does not answer. */
export type KeeperLink = {
  ask(asks: readonly Ask[]): Promise<readonly Answer[]>
  settle(settled: readonly Settled[]): void
}

/** Of one key. */
type Purse = {
  line: Line
  free: number
  /** Lent since the last flush. */
  lent: number
  lent_ms: number
  /** Taken since the last flush, in whatever way: what may be wanted next. */
  taken: number
  wanted: number
  isAsking: boolean
  /** Until when what comes back is told at once (monotonic ms). */
  tight_until: number
  /** Until when there is certainly nothing (monotonic ms), and what was said. */
  dry_until: number
  refusal: Refusal | null
  /** How many were refused: fewer may be there. */
  refused: number
}

const FLUSH_MS = 100
/** How long what the keeper said of an empty quota is believed. */
const DRY_MAX_MS = 100

type Waiting = { ask: Ask; resolve: (answer: Answer) => void; reject: (error: Error) => void }

export class Purses {
  readonly #link: KeeperLink
  readonly #purses = new Map<string, Purse>()
  #waiting: Waiting[] = []
  #outbox: Settled[] = []
  #timer: NodeJS.Timeout | null = null
  #isSoon = false

  constructor(link: KeeperLink) {
    this.#link = link
  }

  #purse(line: Line): Purse {
    const known = this.#purses.get(line.key)
    if (known) return known
    const purse: Purse = {
      line,
      free: 0,
      lent: 0,
      lent_ms: 0,
      taken: 0,
      wanted: 0,
      isAsking: false,
      tight_until: 0,
      dry_until: 0,
      refusal: null,
      refused: 0,
    }
    this.#purses.set(line.key, purse)
    this.#flushLater()
    return purse
  }

  /** Takes units that are here; false when they are not. */
  takeFree(line: Line, units: number): boolean {
    const purse = this.#purses.get(line.key)
    if (!purse || purse.free < units) return false
    purse.free -= units
    purse.taken += units
    return true
  }

  /** Puts back what `takeFree` took for a call that is refused. */
  putBack(line: Line, units: number): void {
    this.#purse(line).free += units
  }

  /** What is known to be empty, without asking; null when it must be asked. */
  dry(line: Line, units: number): Refusal | null {
    const purse = this.#purses.get(line.key)
    if (!purse || purse.refusal === null || units < purse.refused || performance.now() >= purse.dry_until)
      return null
    return { ...purse.refusal, retry_ms: Math.max(1, Math.ceil(purse.dry_until - performance.now())) }
  }

  /** Asks the keeper for all of `lines` or none, and for each of `shadow`. */
  async ask(
    lines: readonly Line[],
    shadow: readonly Line[],
    unitsOf: (line: Line) => number,
  ): Promise<Answer> {
    const wanting: Purse[] = []
    const need = (line: Line): Need => {
      const purse = this.#purse(line)
      const units = unitsOf(line)
      // Too little is here: it goes back first, for it may be the rest of what is asked for.
      if (purse.free > 0 && purse.free < units) this.#empty(purse)
      const want = purse.isAsking || performance.now() < purse.tight_until ? 0 : purse.wanted
      if (want > 0) {
        purse.isAsking = true
        wanting.push(purse)
      }
      return [line.key, units, want]
    }
    const ask = { needs: lines.map(need), shadow: shadow.map(need) }
    try {
      const answer = await this.#send(ask)
      lines.forEach((line, i) => {
        if (answer.lent) this.#lent(line, unitsOf(line), answer.lent[i]!)
      })
      shadow.forEach((line, i) => {
        const lent = answer.shadow[i]
        if (lent !== null && lent !== undefined) this.#lent(line, unitsOf(line), lent)
      })
      if (answer.refusal) {
        const line = lines[answer.refusal.at]!
        this.#remember(line, answer.refusal, unitsOf(line))
      }
      return answer
    } finally {
      for (const purse of wanting) purse.isAsking = false
    }
  }

  #lent(line: Line, units: number, lent: number): void {
    const purse = this.#purse(line)
    purse.taken += units
    if (lent < 0) purse.tight_until = performance.now() + TIGHT_MS
    if (lent <= 0) return
    purse.free += lent
    purse.lent += lent
    purse.lent_ms ||= Date.now()
  }

  #remember(line: Line, refusal: Refusal, units: number): void {
    const purse = this.#purse(line)
    purse.tight_until = performance.now() + TIGHT_MS
    // Others are refused too: what is on its way back goes now.
    this.#flushSoon()
    // A slot may be free again in the next moment.
    if (line.entry.kind === 'concurrency') return
    purse.refusal = refusal
    purse.refused = units
    purse.dry_until = performance.now() + Math.min(refusal.retry_ms, DRY_MAX_MS)
  }

  #send(ask: Ask): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ ask, resolve, reject }) === 1) setImmediate(() => this.#askAll())
    })
  }

  #askAll(): void {
    const waiting = this.#waiting
    this.#waiting = []
    // First what comes back, on the same line: it may be what is asked for.
    this.#sendOutbox()
    this.#link.ask(waiting.map(({ ask }) => ask)).then(
      (answers) => {
        for (const [i, { resolve }] of waiting.entries()) resolve(answers[i]!)
      },
      (error: Error) => {
        for (const { reject } of waiting) reject(error)
      },
    )
  }

  /** A call with concurrency has ended. */
  release(line: Line, taken_ms: number): void {
    const purse = this.#purse(line)
    if (performance.now() >= purse.tight_until) purse.free++
    else {
      this.#outbox.push([line.key, 1, 1, taken_ms])
      this.#flushSoon()
    }
  }

  /** A call for which `units` of money were set aside has cost `cost`. */
  spent(line: Line, units: number, cost: number, taken_ms: number): void {
    const purse = this.#purse(line)
    this.#outbox.push([line.key, units, units - cost, taken_ms])
    // What it did not cost is what others of this worker were refused for.
    if (cost < units) purse.dry_until = 0
    if (performance.now() < purse.tight_until) this.#flushSoon()
    else this.#flushLater()
  }

  #flushSoon(): void {
    if (this.#isSoon) return
    this.#isSoon = true
    setImmediate(() => {
      this.#isSoon = false
      this.#sendOutbox()
    })
  }

  #flushLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.flush()
    }, FLUSH_MS).unref()
  }

  #sendOutbox(): void {
    if (this.#outbox.length === 0) return
    const settled = this.#outbox
    this.#outbox = []
    this.#link.settle(settled)
  }

  /** Gives back what is free, and says what was used. */
  flush(): void {
    for (const [key, purse] of this.#purses) {
      const wasUsed = purse.taken > 0
      this.#empty(purse)
      purse.wanted = purse.taken
      purse.taken = 0
      const now = performance.now()
      if (!wasUsed && !purse.isAsking && now >= purse.dry_until && now >= purse.tight_until)
        this.#purses.delete(key)
    }
    this.#sendOutbox()
    if (this.#purses.size > 0) this.#flushLater()
  }

  #empty(purse: Purse): void {
    const { line, free, lent } = purse
    const dropped = hasEnd(line.entry) ? free : lent
    if (dropped > 0 || free > 0) this.#outbox.push([line.key, dropped, free, purse.lent_ms || Date.now()])
    purse.free = purse.lent = purse.lent_ms = 0
  }

  /**
   * Another worker needs what is free here: it goes back now, and for a while everything at once. Told as what is settled, on the
   * line on which the answer follows: an answer that comes too late is dropped, and would take it along.
   */
  recall(key: string): void {
    const purse = this.#purses.get(key)
    if (purse) {
      this.#empty(purse)
      purse.tight_until = performance.now() + TIGHT_MS
    }
    this.#sendOutbox()
  }
}
