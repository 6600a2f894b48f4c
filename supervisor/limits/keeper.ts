/**
 * The keeper of counts: one for all workers of an installation, so that limits are exact over them. Answers what workers ask,
 * takes back what they hold when they die, writes quotas and money to disk behind the calls, and says when a share is reached.
 * With a Redis it asks that instead; while Redis is slow or away, what the config says applies.
 * Invariant: a unit is taken before a worker may use it, and a worker that is gone holds nothing.
 */
import { type LimitEntry, limitEntries } from '../../config/limit-book.ts'
import type { Config } from '../../config/schema.ts'
import type { Log } from '../../event/log.ts'
import { Bank, entryIdOf, isRefusal, type Need, type Taken, TIGHT_MS } from '../../limits/bank.ts'
import { Bucket, type Now } from '../../limits/bucket.ts'
import type { Answer, Ask, LimitNote, Settled, SpentRow } from '../../limits/messages.ts'
import { hasEnd } from '../../limits/select.ts'
import type { Metrics } from '../../proxy/telemetry/metrics.ts'
import { Fleet, FleetAway } from './fleet.ts'
import { LedgerFile, type LedgerLine } from './ledger-file.ts'
import { spentByKey, spentFrom } from './reconcile.ts'
import { tellWarnings } from './warnings.ts'

export type KeeperOptions = {
  file: string
  /** Name of this machine among those that share a Redis; never that of another. */
  machine: string
  log: Log
  metrics: Metrics
  workers: number
  /** Identity of the worker in a slot; undefined while none is alive. */
  living(slot: string): string | undefined
  /** What calls have cost since a day, as the store knows it; null where there is no store to ask. Rejects while it is away. */
  spent: ((from_ms: number) => Promise<readonly SpentRow[]>) | null
  /** Puts a moment on the charts; null where there is no store. */
  note: ((note: LimitNote) => void) | null
  /** Resolves when a worker has settled what it holds of a key and does not use. Rejects when it is silent. */
  recall(slot: string, key: string): Promise<void>
}

const WRITE_EVERY_MS = 250
/** A big file is written less often: at most this part of the time. */
const WRITE_PART = 20
/** A worker asks each other this often at most: what comes back while a count is at its edge is told at once. */
const RECALL_EVERY_MS = TIGHT_MS * 0.9
const TIGHT_KEPT = 10_000
/** How often the store is asked what was spent; until it has answered once, sooner. */
const SPENT_EVERY_MS = 30_000
const SPENT_FIRST_MS = 1_000

const clock = (): Now => ({ mono_ms: performance.now(), wall_ms: Date.now() })
/** Of a key whose count is at its edge: how long, and when each worker was asked to give back. */
type Tight = { until: number; recalled: Map<string, number> }
const recallOf = (slot: string, key: string): string => `${slot}\n${key}`

export class Keeper {
  readonly #options: KeeperOptions
  readonly #file: LedgerFile
  #entries: ReadonlyMap<string, LimitEntry> = new Map()
  #config: Pick<Config, 'limits' | 'teams' | 'budgets' | 'limits_store'> | null = null
  readonly #bank: Bank
  #fleet: Fleet | null = null
  /** While Redis is away: counts that start at what was known, with the share that is ours. */
  #fallback: Bank | null = null
  /** Units that each worker has and may still give back, by key. */
  readonly #held = new Map<string, Map<string, number>>()
  readonly #tight = new Map<string, Tight>()
  readonly #recalls = new Map<string, Promise<void>>()
  #isChanged = false
  #next_write_ms = 0
  readonly #timer: NodeJS.Timeout
  #spent_timer: NodeJS.Timeout | null = null

  constructor(options: KeeperOptions, config: Config) {
    this.#options = options
    this.#file = new LedgerFile(options.file)
    this.#bank = new Bank([])
    this.reload(config)
    this.#restore()
    this.#timer = setInterval(() => this.#tick(), WRITE_EVERY_MS).unref()
    this.#learnSpentIn(SPENT_FIRST_MS)
  }

  reload(config: Config): void {
    const before = this.#config?.limits_store.redis
    this.#config = config
    const entries = limitEntries(config)
    this.#entries = new Map(entries.map((entry) => [entry.id, entry]))
    this.#bank.reload(entries)
    this.#fallback?.reload(entries)
    if (this.#spent_timer) this.#learnSpentIn(SPENT_FIRST_MS)
    const { redis } = config.limits_store
    if (JSON.stringify(before) === JSON.stringify(redis)) return
    this.#fleet?.close()
    this.#fallback = null
    const { machine, metrics, log } = this.#options
    this.#fleet = redis
      ? new Fleet(redis, {
          machine,
          metrics,
          log,
          entryOf: (key) => this.#entries.get(entryIdOf(key)) ?? null,
          held: () => this.#allHeld(),
          stoodIn: () => this.#fallback?.rates(clock()) ?? [],
          // Anew each time: what was taken while it was away has been told to it.
          onChange: () => {
            this.#fallback = null
          },
        })
      : null
  }

  #restore(): void {
    const now = clock()
    for (const [key, period_start, used, warned] of this.#file.read()) {
      const bucket = this.#bank.bucket(key, now)
      if (bucket?.entry.period) bucket.restore(period_start, used, warned)
    }
  }

  // --- what the store knows ---------------------------------------------------------------------------------------

  #learnSpentIn(wait_ms: number): void {
    if (!this.#options.spent) return
    if (this.#spent_timer) clearTimeout(this.#spent_timer)
    this.#spent_timer = setTimeout(() => {
      this.#learnSpent().then(
        () => this.#learnSpentIn(SPENT_EVERY_MS),
        () => this.#learnSpentIn(SPENT_FIRST_MS),
      )
    }, wait_ms).unref()
  }

  /** Raises counts of money to what the store has; it lags behind, so it never lowers them. */
  async #learnSpent(): Promise<void> {
    const entries = [...this.#entries.values()]
    const from_ms = spentFrom(entries, Date.now())
    if (from_ms === null) return
    const rows = await this.#options.spent!(from_ms)
    const now = clock()
    const held = new Map(this.#allHeld())
    for (const [key, units] of spentByKey(entries, rows, now.wall_ms)) {
      if (this.#fleet) this.#fleet.atLeast(key, units + (held.get(key) ?? 0))
      const bucket = this.#bank.bucket(key, now)
      // Asked for its room, so that it is in the running period.
      if (!bucket || bucket.taken(now) >= units + (held.get(key) ?? 0)) continue
      bucket.restore(bucket.period_start, units + (held.get(key) ?? 0), bucket.warned)
      this.#isChanged = true
    }
  }

  // --- what workers ask -------------------------------------------------------------------------------------------

  /** Rejects when the worker that asks has ended: what it asked last is read after that. */
  ask(slot: string, asks: readonly Ask[]): Promise<Answer[]> {
    if (this.#options.living(slot) === undefined) return Promise.reject(new Error(`${slot} has ended`))
    return Promise.all(asks.map((one) => this.#answer(slot, one)))
  }

  async #answer(slot: string, { needs, shadow }: Ask): Promise<Answer> {
    const nothing: Answer = { lent: null, refusal: null, isAway: false, shadow: [] }
    let lent: readonly number[] = []
    if (needs.length > 0) {
      const taken = await this.#take(slot, needs)
      if (taken === 'away') return { ...nothing, isAway: true }
      if (isRefusal(taken)) return { ...nothing, refusal: taken }
      lent = taken
    }
    const watched = shadow.map(async (need) => {
      const taken = await this.#take(slot, [need])
      return taken === 'away' || isRefusal(taken) ? null : taken[0]!
    })
    return { ...nothing, lent, shadow: await Promise.all(watched) }
  }

  async #take(slot: string, needs: readonly Need[]): Promise<Taken | 'away'> {
    const first = await this.#takeOnce(slot, needs)
    if (first === 'away' || !isRefusal(first)) return first
    const [key] = needs[first.at]!
    const others = this.#others(slot, key)
    const tight = this.#tighten(key)
    const since_ms = performance.now() - RECALL_EVERY_MS
    const due = others.filter(
      (other) =>
        this.#recalls.has(recallOf(other, key)) ||
        (tight.recalled.get(other) ?? Number.NEGATIVE_INFINITY) <= since_ms,
    )
    if (due.length === 0) return first
    await Promise.all(due.map((other) => this.#recall(other, key, tight)))
    return this.#takeOnce(slot, needs)
  }

  async #takeOnce(slot: string, needs: readonly Need[]): Promise<Taken | 'away'> {
    const now_ms = performance.now()
    const isTight = needs.map(([key]) => (this.#tight.get(key)?.until ?? 0) > now_ms)
    const asked = needs.map(([key, units, want], i): Need => [key, units, isTight[i] ? 0 : want])
    const { living } = this.#options
    const asker = living(slot)
    const taken = await this.#count(asked)
    if (taken === 'away' || isRefusal(taken)) return taken
    if (living(slot) !== asker) {
      this.#undo(needs, taken)
      return 'away'
    }
    for (const [i, [key, units]] of needs.entries()) this.#hold(slot, key, units, taken[i]!)
    this.#isChanged = true
    return isTight.includes(true) ? taken.map((lent, i) => (isTight[i] ? -1 : lent)) : taken
  }

  /** Gives back what was taken for a worker that ended meanwhile. */
  #undo(needs: readonly Need[], taken: readonly number[]): void {
    const now = clock()
    for (const [i, [key, units]] of needs.entries()) {
      const all = units + Math.max(0, taken[i]!)
      if (this.#fleet) this.#fleet.giveBack([[key, all, now.wall_ms]])
      else this.#bank.settle(key, Math.max(0, taken[i]!), all, now)
    }
  }

  async #count(needs: readonly Need[]): Promise<Taken | 'away'> {
    const fleet = this.#fleet
    if (!fleet) return this.#bank.take(needs, clock(), this.#options.workers)
    if (fleet.isUp)
      try {
        return await fleet.take(needs)
      } catch (error) {
        if (!(error instanceof FleetAway)) throw error
        this.#options.metrics.add('weir_limits_store_fallbacks_total', 1, [error.reason])
      }
    else this.#options.metrics.add('weir_limits_store_fallbacks_total', 1, ['away'])
    if (fleet.options.fallback === 'refuse') return 'away'
    const taken = this.#standIn(fleet).take(needs, clock(), this.#options.workers)
    if (!isRefusal(taken))
      for (const [i, [key, units]] of needs.entries()) fleet.owe(key, units + Math.max(0, taken[i]!))
    return taken
  }

  /** Counts of this machine alone, from what is known of the fleet's. */
  #standIn(fleet: Fleet): Bank {
    if (this.#fallback) return this.#fallback
    const held = new Map<string, number>()
    for (const [key, units] of this.#allHeld()) held.set(key, units)
    const now = clock()
    this.#fallback = new Bank([...this.#entries.values()], (entry, key) => {
      const bucket = new Bucket(
        entry,
        fleet.options.share,
        fleet.gone(key, now.wall_ms) ?? this.#known(key, now),
      )
      if (entry.kind === 'concurrency') bucket.used = held.get(key) ?? 0
      return bucket
    })
    return this.#fallback
  }

  /** What the disk knew of a quota or money, before Redis was ever heard. */
  #known(key: string, now: Now): { units: number; period_start: number } | null {
    const bucket = this.#bank.bucket(key, now)
    return bucket?.entry.period ? { units: bucket.taken(now), period_start: bucket.period_start } : null
  }

  // --- what workers hold ------------------------------------------------------------------------------------------

  #hold(slot: string, key: string, units: number, lent: number): void {
    const entry = this.#entries.get(entryIdOf(key))
    if (!entry) return
    const more = (hasEnd(entry) ? units : 0) + Math.max(0, lent)
    if (more > 0) this.#change(slot, key, more)
  }

  #change(slot: string, key: string, by: number): void {
    let held = this.#held.get(slot)
    if (!held) this.#held.set(slot, (held = new Map()))
    const units = (held.get(key) ?? 0) + by
    if (units > 0) held.set(key, units)
    else held.delete(key)
  }

  settle(slot: string, settled: readonly Settled[]): void {
    const now = clock()
    for (const [key, dropped, back, taken_ms] of settled) {
      // Said by a worker after it was taken for gone: what it had has been given back already.
      if (dropped > (this.#held.get(slot)?.get(key) ?? 0)) continue
      if (dropped > 0) this.#change(slot, key, -dropped)
      if (!this.#fleet) this.#bank.settle(key, dropped, back, now, taken_ms)
      else if (back !== 0 || dropped > 0) {
        this.#fallback?.settle(key, dropped, back, now, taken_ms)
        this.#fleet.giveBack([[key, back, taken_ms]])
      }
      this.#isChanged = true
    }
  }

  /** A worker has ended: its calls are over, and what it held of them is free. */
  gone(slot: string): void {
    const now = Date.now()
    const settled = [...(this.#held.get(slot) ?? [])].map(([key, units]): Settled => {
      const entry = this.#entries.get(entryIdOf(key))
      // Calls of a rate or quota that it may have used stay taken.
      return [key, units, entry && hasEnd(entry) ? units : 0, now]
    })
    this.settle(slot, settled)
    this.#held.delete(slot)
  }

  #others(slot: string, key: string): string[] {
    return [...this.#held].flatMap(([other, held]) => (other !== slot && held.has(key) ? [other] : []))
  }

  *#allHeld(): Generator<[key: string, units: number]> {
    const all = new Map<string, number>()
    for (const held of this.#held.values())
      for (const [key, units] of held) all.set(key, (all.get(key) ?? 0) + units)
    yield* all
  }

  #tighten(key: string): Tight {
    const known = this.#tight.get(key)
    const until = performance.now() + TIGHT_MS
    if (known) {
      known.until = until
      return known
    }
    if (this.#tight.size >= TIGHT_KEPT) this.#tight.clear()
    const tight: Tight = { until, recalled: new Map() }
    this.#tight.set(key, tight)
    return tight
  }

  /** Has another worker give back what it does not use: it settles that before it answers. Once at a time, however many wait. */
  #recall(slot: string, key: string, tight: Tight): Promise<void> {
    const name = recallOf(slot, key)
    const known = this.#recalls.get(name)
    if (known) return known
    tight.recalled.set(slot, performance.now())
    const recall = this.#options
      .recall(slot, key)
      // One that does not answer in time still settles when it comes to it.
      .catch(() => {})
      .then(() => {
        this.#recalls.delete(name)
      })
    this.#recalls.set(name, recall)
    return recall
  }

  // --- disk and figures -------------------------------------------------------------------------------------------

  #windows(): LedgerLine[] {
    const kept = new Map(
      [...this.#bank.windows()].map(([key, b]): [string, LedgerLine] => [
        key,
        [key, b.period_start, b.used, b.warned],
      ]),
    )
    if (!this.#fleet) {
      // Money set aside for calls that are under way is not spent: should all end here, it never will be.
      for (const [key, units] of this.#allHeld()) {
        const line = kept.get(key)
        if (line && this.#entries.get(entryIdOf(key))?.kind === 'spend')
          line[2] = Math.max(0, line[2] - units)
      }
      return [...kept.values()]
    }
    return [...this.#fleet.windows()].map(([key, start, used]) => [key, start, used, kept.get(key)?.[3] ?? 0])
  }

  #tick(): void {
    if (!this.#isChanged) return
    this.#isChanged = false
    const now = clock()
    if (this.#fleet)
      for (const [key, start, used] of this.#fleet.windows()) {
        const bucket = this.#bank.bucket(key, now)
        if (bucket) bucket.restore(start, used, bucket.period_start === start ? bucket.warned : 0)
      }
    const { metrics, log } = this.#options
    metrics.set('weir_limit_keys', this.#bank.size)
    const lines = this.#windows()
    const told = tellWarnings(lines, (key) => this.#bank.entry(key), this.#options)
    for (const [i, [key]] of lines.entries()) {
      const bucket = this.#bank.bucket(key, now)
      if (bucket) bucket.warned = lines[i]![3] = told[i]!
    }
    if (now.mono_ms < this.#next_write_ms) {
      this.#isChanged = true
      return
    }
    this.#file.write(lines).then(
      (wasWritten) => {
        const took_ms = performance.now() - now.mono_ms
        this.#next_write_ms = performance.now() + took_ms * WRITE_PART
        if (!wasWritten) this.#isChanged = true
      },
      (error: Error) => {
        this.#isChanged = true
        log.error('counts of limits cannot be written', { error: error.message })
      },
    )
  }

  close(): void {
    clearInterval(this.#timer)
    if (this.#spent_timer) clearTimeout(this.#spent_timer)
    if (this.#entries.size > 0 || this.#bank.size > 0) this.#file.writeNow(this.#windows())
    this.#fleet?.close()
  }
}
