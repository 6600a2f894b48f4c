/**
 * Counts that a fleet shares, in Redis or Valkey. One round trip an ask; asks of one turn of the loop travel together. While
 * it is slow or away nothing waits for it: whoever asks is told so at once, and what was taken meanwhile is told to it when
 * it is back. The only importer of ioredis.
 */
import { Redis } from 'ioredis'
import type { LimitEntry } from '../../config/limit-book.ts'
import type { Config } from '../../config/schema.ts'
import type { Log } from '../../event/log.ts'
import { METRICS } from '../../event/proxy-metrics.ts'
import type { Need, Taken } from '../../limits/bank.ts'
import { CONCURRENCY_RETRY_MS } from '../../limits/bucket.ts'
import { periodEnd, periodStart } from '../../limits/period.ts'
import { type Metrics, observe } from '../../proxy/telemetry/metrics.ts'
import { GIVE_BACK, HOLD, OWE_RATES, RESTORE, TAKE } from './scripts.ts'

export type RedisOptions = NonNullable<Config['limits_store']['redis']>
/** Why Redis could not be asked. */
export class FleetAway extends Error {
  readonly reason: 'slow' | 'away'
  constructor(reason: 'slow' | 'away') {
    super(`the Redis of limits_store is ${reason}`)
    this.reason = reason
  }
}

/** How long a machine that says nothing any more keeps its concurrency. */
export const HOLD_TTL_MS = 10_000
const HOLD_EVERY_MS = 3_000
const PROBE_EVERY_MS = 250
/** Every machine counts alone until it is connected again, so all look often. */
const RECONNECT_MAX_MS = 200
/** One borrower of a fleet gets at most this part of what is left. */
const LENT_PART = 16
/** A period's count stays a while after it, for machines whose clock is late. */
const PERIOD_GRACE_MS = 60_000
const RESTORE_AT_ONCE = 500
const BOUNDS = METRICS.weir_limits_store_seconds.buckets

type Scripted = {
  weirTake(keys: number, ...rest: (string | number)[]): Promise<(number | string)[]>
  weirGiveBack(keys: number, ...rest: (string | number)[]): Promise<number>
  weirHold(keys: number, ...rest: (string | number)[]): Promise<number>
  weirRestore(keys: number, ...rest: (string | number)[]): Promise<number>
  weirOweRates(keys: number, ...rest: (string | number)[]): Promise<number>
}

const KIND = { rate: 'r', concurrency: 'c', quota: 'w', spend: 'w' } as const
type Window = { seen: number; owed: number; end_ms: number; key: string; period_start: number }

export class Fleet {
  readonly options: RedisOptions
  readonly #redis: Redis & Scripted
  readonly #machine: string
  readonly #entryOf: (key: string) => LimitEntry | null
  readonly #held: () => Iterable<[key: string, units: number]>
  readonly #stoodIn: () => Iterable<[key: string, units: number]>
  readonly #onChange: (isUp: boolean) => void
  readonly #metrics: Metrics
  readonly #log: Log
  /** Of quotas and money, by the name in Redis: the most that was seen, and what is to be told to it. */
  readonly #windows = new Map<string, Window>()
  /** Names of concurrency in Redis that this machine has something of. */
  readonly #holding = new Set<string>()
  readonly #timers: NodeJS.Timeout[]
  #isReturning = false
  isUp = false

  constructor(
    options: RedisOptions,
    around: {
      machine: string
      entryOf: (key: string) => LimitEntry | null
      /** Units of concurrency that this machine has. */
      held: () => Iterable<[key: string, units: number]>
      /** Units of rates that this machine has given out alone, and that are not refilled. */
      stoodIn: () => Iterable<[key: string, units: number]>
      onChange: (isUp: boolean) => void
      metrics: Metrics
      log: Log
    },
  ) {
    this.options = options
    this.#machine = around.machine
    this.#entryOf = around.entryOf
    this.#held = around.held
    this.#stoodIn = around.stoodIn
    this.#onChange = around.onChange
    this.#metrics = around.metrics
    this.#log = around.log
    this.#redis = new Redis(options.url, {
      enableAutoPipelining: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: 2_000,
      keepAlive: 10_000,
      retryStrategy: (tries) => Math.min(RECONNECT_MAX_MS, 50 * 2 ** Math.min(tries, 6)),
      scripts: {
        weirTake: { lua: TAKE },
        weirGiveBack: { lua: GIVE_BACK },
        weirHold: { lua: HOLD },
        weirRestore: { lua: RESTORE },
        weirOweRates: { lua: OWE_RATES },
      },
    }) as Redis & Scripted
    // Said once when it goes, not for every try.
    this.#redis.on('error', () => {})
    this.#redis.on('ready', () => void this.#returned())
    this.#redis.on('close', () => this.#lost('away'))
    this.#timers = [
      setInterval(() => void this.#probe(), PROBE_EVERY_MS).unref(),
      setInterval(() => void this.#hold('least').catch(() => {}), HOLD_EVERY_MS).unref(),
    ]
    this.#metrics.set('weir_limits_store_up', 0)
  }

  /** Takes all needs, and is lent more; or takes nothing. Rejects with FleetAway when Redis does not answer in time. */
  async take(needs: readonly Need[]): Promise<Taken> {
    if (!this.isUp) throw new FleetAway('away')
    const now_ms = Date.now()
    const known = needs.flatMap((need, at) => {
      const entry = this.#entryOf(need[0])
      return entry ? [{ need, at, entry, name: this.#name(need[0], entry, now_ms) }] : []
    })
    if (known.length === 0) return needs.map(() => 0)
    const argv = known.flatMap(({ need: [, units, want], entry }) => [
      KIND[entry.kind],
      Math.ceil(units),
      Math.floor(want),
      entry.kind === 'rate' ? entry.burst : entry.amount,
      stepUs(entry),
      ttlOf(entry, now_ms),
    ])
    const names = known.map(({ name }) => name)
    const started = performance.now()
    const asked = this.#redis.weirTake(names.length, ...names, this.#machine, LENT_PART, ...argv)
    const answer = await this.#inTime(asked, (late) => {
      if (Number(late[0]) !== 1) return
      // It did what nobody waits for any more.
      for (const [i, { need, entry }] of known.entries())
        this.giveBack([[need[0], need[1] + Number(late[1 + 2 * i]), now_ms]], entry.kind !== 'concurrency')
    })
    observe(this.#metrics.series('weir_limits_store_seconds'), BOUNDS, (performance.now() - started) / 1000)
    if (Number(answer[0]) !== 1) {
      const one = known[Number(answer[1])]!
      const { entry } = one
      const capacity = entry.kind === 'rate' ? entry.burst : entry.amount
      return {
        at: one.at,
        taken: Number(answer[2]),
        capacity,
        retry_ms: retryMs(entry, Number(answer[3]), now_ms),
      }
    }
    const lent = needs.map(() => 0)
    for (const [i, { at, entry, name, need }] of known.entries()) {
      lent[at] = Number(answer[1 + 2 * i])
      if (entry.kind === 'concurrency') this.#holding.add(name)
      if (entry.period !== '') this.#window(need[0], entry, now_ms).seen = Number(answer[2 + 2 * i])
    }
    return lent
  }

  /** Units that come back (below zero: more was used). What Redis does not hear now it is told later. */
  giveBack(
    back: readonly (readonly [key: string, units: number, taken_ms: number])[],
    isCounted = true,
  ): void {
    const now_ms = Date.now()
    for (const [key, units, taken_ms] of back) {
      const entry = this.#entryOf(key)
      if (!entry || units === 0 || !isCounted) continue
      if (entry.period !== '' && taken_ms < periodStart(entry.period, now_ms)) continue
      if (!this.isUp) {
        if (entry.period !== '') this.#window(key, entry, now_ms).owed -= units
        continue
      }
      const name = this.#name(key, entry, now_ms)
      if (entry.period !== '') this.#window(key, entry, now_ms).seen -= units
      const argv = [KIND[entry.kind], Math.round(units), stepUs(entry), ttlOf(entry, now_ms)]
      this.#redis.weirGiveBack(1, name, this.#machine, ...argv).catch(() => {
        if (entry.period !== '') this.#window(key, entry, now_ms).owed -= units
      })
    }
  }

  /** Taken while it was away. */
  owe(key: string, units: number): void {
    const entry = this.#entryOf(key)
    if (entry && entry.period !== '') this.#window(key, entry, Date.now()).owed += units
  }

  /** What was known to be taken of a quota or money by the whole fleet when it was last heard of. */
  gone(key: string, now_ms: number): { units: number; period_start: number } | null {
    const entry = this.#entryOf(key)
    if (!entry || entry.period === '') return null
    const window = this.#windows.get(this.#name(key, entry, now_ms))
    return window ? { units: window.seen, period_start: window.period_start } : null
  }

  /** The store knows of more that was spent than was counted here. */
  atLeast(key: string, units: number): void {
    const entry = this.#entryOf(key)
    if (!entry || entry.period === '') return
    const now_ms = Date.now()
    const window = this.#window(key, entry, now_ms)
    if (window.seen >= units) return
    window.seen = units
    if (this.isUp)
      this.#redis
        .weirRestore(1, this.#name(key, entry, now_ms), Math.round(units), 0, ttlOf(entry, now_ms))
        .catch(() => {})
  }

  /** Quotas and money as Redis has them. */
  *windows(): Generator<[key: string, period_start: number, used: number]> {
    for (const { key, period_start, seen, owed } of this.#windows.values())
      yield [key, period_start, seen + owed]
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#redis.disconnect()
  }

  #name(key: string, entry: LimitEntry, now_ms: number): string {
    const period = entry.period === '' ? '' : `:${periodStart(entry.period, now_ms)}`
    // One hash slot: a cluster runs a script on one node only.
    return `{${this.options.prefix}}:${key}${period}`
  }

  #window(key: string, entry: LimitEntry, now_ms: number): Window {
    const name = this.#name(key, entry, now_ms)
    const known = this.#windows.get(name)
    if (known) return known
    const period_start = periodStart(entry.period as Exclude<typeof entry.period, ''>, now_ms)
    for (const [old, { end_ms }] of this.#windows) if (end_ms < now_ms) this.#windows.delete(old)
    const end_ms = periodEnd(entry.period as Exclude<typeof entry.period, ''>, period_start)
    const window = { seen: 0, owed: 0, end_ms, key, period_start }
    this.#windows.set(name, window)
    return window
  }

  /** Waits no longer than the config allows. `late` hears an answer that came after that. */
  #inTime<T>(asked: Promise<T>, late: (answer: T) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      let isLate = false
      const timer = setTimeout(() => {
        isLate = true
        this.#lost('slow')
        reject(new FleetAway('slow'))
      }, this.options.timeout_ms)
      asked.then(
        (answer) => {
          clearTimeout(timer)
          if (isLate) late(answer)
          else resolve(answer)
        },
        (error: Error) => {
          clearTimeout(timer)
          if (this.#redis.status === 'ready') this.#log.error('Redis refused', { error: error.message })
          reject(new FleetAway('away'))
        },
      )
    })
  }

  #lost(reason: 'slow' | 'away'): void {
    if (!this.isUp) return
    this.isUp = false
    this.#metrics.set('weir_limits_store_up', 0)
    this.#log.warn(`the Redis of limits_store is ${reason}: ${this.options.fallback} until it is back`)
    this.#onChange(false)
  }

  /** A Redis that was slow may be well again without a new connection. */
  async #probe(): Promise<void> {
    if (this.isUp || this.#isReturning || this.#redis.status !== 'ready') return
    await this.#returned()
  }

  /** It answers again: it learns what it forgot and what it missed, and only then it is asked. */
  async #returned(): Promise<void> {
    if (this.isUp || this.#isReturning) return
    this.#isReturning = true
    try {
      await this.#soon(this.#redis.ping())
      await this.#restore()
      await this.#hold('exact')
      await this.#oweRates()
      this.isUp = true
      this.#metrics.set('weir_limits_store_up', 1)
      this.#log.info('the Redis of limits_store answers')
      this.#onChange(true)
    } catch {
      // The next probe tries again.
    } finally {
      this.#isReturning = false
    }
  }

  #soon<T>(asked: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new FleetAway('slow')), this.options.timeout_ms)
      asked.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  async #restore(): Promise<void> {
    const now_ms = Date.now()
    const all = [...this.#windows].filter(([, { end_ms }]) => end_ms > now_ms)
    for (let from = 0; from < all.length; from += RESTORE_AT_ONCE) {
      const some = all.slice(from, from + RESTORE_AT_ONCE)
      const owed = some.map(([, window]) => window.owed)
      const argv = some.map(([, w]) => [
        Math.round(w.seen),
        Math.round(w.owed),
        w.end_ms - now_ms + PERIOD_GRACE_MS,
      ])
      const names = some.map(([name]) => name)
      await this.#redis.weirRestore(some.length, ...names, ...argv.flat())
      some.forEach(([, window], i) => {
        window.seen += owed[i]!
        window.owed -= owed[i]!
      })
    }
  }

  /** A burst that was had while Redis was away is not had again. The last thing before it is asked again: it is told once. */
  async #oweRates(): Promise<void> {
    const all = [...this.#stoodIn()].flatMap(([key, units]) => {
      const entry = this.#entryOf(key)
      return entry ? [{ name: this.#name(key, entry, 0), argv: [units, stepUs(entry), entry.burst] }] : []
    })
    for (let from = 0; from < all.length; from += RESTORE_AT_ONCE) {
      const some = all.slice(from, from + RESTORE_AT_ONCE)
      const names = some.map(({ name }) => name)
      await this.#redis.weirOweRates(some.length, ...names, ...some.flatMap(({ argv }) => argv))
    }
  }

  /** Says what this machine has of concurrency: so it is believed, and corrected. */
  async #hold(how: 'exact' | 'least'): Promise<void> {
    if (this.#redis.status !== 'ready') return
    const now_ms = Date.now()
    const units = new Map([...this.#holding].map((name) => [name, 0]))
    for (const [key, held] of this.#held()) {
      const entry = this.#entryOf(key)
      if (entry?.kind === 'concurrency') units.set(this.#name(key, entry, now_ms), held)
    }
    const all = [...units]
    for (let from = 0; from < all.length; from += RESTORE_AT_ONCE) {
      const some = all.slice(from, from + RESTORE_AT_ONCE)
      const names = some.map(([name]) => name)
      const argv = some.flatMap(([, held]) => [held, HOLD_TTL_MS])
      await this.#redis.weirHold(some.length, ...names, this.#machine, how, ...argv)
    }
    for (const [name, held] of all) {
      if (held === 0) this.#holding.delete(name)
      else this.#holding.add(name)
    }
  }
}

const stepUs = ({ kind, period_ms, amount }: LimitEntry): number =>
  kind === 'rate' ? (period_ms * 1000) / amount : 0

function ttlOf({ kind, period }: LimitEntry, now_ms: number): number {
  if (kind === 'concurrency') return HOLD_TTL_MS
  if (period === '') return 0
  return periodEnd(period, periodStart(period, now_ms)) - now_ms + PERIOD_GRACE_MS
}

function retryMs({ kind, period }: LimitEntry, said_ms: number, now_ms: number): number {
  if (kind === 'concurrency') return CONCURRENCY_RETRY_MS
  if (period === '') return Math.max(1, said_ms)
  return Math.max(1, periodEnd(period, periodStart(period, now_ms)) - now_ms)
}
