/**
 * Our limits beside `rate-limiter-flexible`: `node bench/limiters.ts` measures both in turn, in one process and one run, and writes
 * bench/results/limiters.md. What a decision costs in memory and over a real redis-server, in CPU and in commands, and what each
 * lets pass: at the edge of a window, and of several limits at once. Needs redis-server; see decision 011.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterUnion } from 'rate-limiter-flexible'
import { limitEntries } from '../config/limit-book.ts'
import { parseConfig } from '../config/load.ts'
import { Bank, isRefusal, type Need } from '../limits/bank.ts'
import type { Now } from '../limits/bucket.ts'
import { TAKE } from '../supervisor/limits/scripts.ts'
import { stopAll } from './support/children.ts'
import { commitOf, loadNow, machineOf, ROOT } from './support/machine.ts'
import { cpuUs } from './support/proc.ts'
import { startRedis } from './support/redis.ts'
import { spreadOf } from './support/spread.ts'

const ROUNDS = 15
const CALLS = 20_000
const REDIS_CALLS = 4_000
const AT_ONCE = 32
const KEYS = 1_000

const bankOf = (...rates: readonly [rate: string, burst: number][]): { bank: Bank; ids: string[] } => {
  const text = rates
    .map(([rate, burst], i) => `  - { name: l${i}, per: [caller], rate: ${rate}, burst: ${burst} }`)
    .join('\n')
  const entries = limitEntries(parseConfig(`limits:\n${text}\n`, 'weir.yaml', {}).config)
  return { bank: new Bank(entries), ids: entries.map(({ id }) => id) }
}
const needsOf = (ids: readonly string[], caller: string): Need[] =>
  ids.map((id) => [`${id}\n${caller}`, 1, 0])
const clock = (): Now => ({ mono_ms: performance.now(), wall_ms: Date.now() })
const passes = (consumed: Promise<unknown>): Promise<boolean> =>
  consumed.then(
    () => true,
    () => false,
  )

const rows: string[] = []
const row = (...cells: (string | number)[]): void => {
  rows.push(`| ${cells.join(' | ')} |`)
  process.stdout.write(`${rows.at(-1)}\n`)
}

type Variant = { name: string; call: (i: number) => unknown }

/** Microseconds of CPU a call of each, in turn: forwards, then backwards. */
async function inTurn(variants: readonly Variant[], calls: number): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>(variants.map(({ name }) => [name, []]))
  for (let round = -2; round < ROUNDS; round++)
    for (const { name, call } of round % 2 ? variants : variants.toReversed()) {
      const before = process.cpuUsage()
      for (let i = 0; i < calls; i++) {
        const answer = call(i)
        if (answer instanceof Promise) await answer
      }
      const { user, system } = process.cpuUsage(before)
      if (round >= 0) found.get(name)!.push((user + system) / calls)
    }
  return found
}

async function memory(): Promise<void> {
  const far = { points: 1_000_000_000, duration: 3_600 }
  const one = bankOf(['1000000/s', 1_000_000])
  const three = bankOf(['1000000/s', 1_000_000], ['900000/s', 900_000], ['800000/s', 800_000])
  const none = bankOf(['1/h', 1])
  const lib = new RateLimiterMemory(far)
  const union = new RateLimiterUnion(
    ...['a', 'b', 'c'].map((keyPrefix) => new RateLimiterMemory({ ...far, keyPrefix })),
  )
  const full = new RateLimiterMemory({ points: 1, duration: 3_600 })
  const keys = Array.from({ length: KEYS }, (_, i) => `caller-${i}`)
  const ask = ({ bank, ids }: ReturnType<typeof bankOf>, i: number): unknown =>
    bank.take(needsOf(ids, keys[i % KEYS]!), clock())
  const found = await inTurn(
    [
      { name: 'one limit, passes: ours', call: (i) => ask(one, i) },
      { name: 'one limit, passes: library', call: (i) => lib.consume(keys[i % KEYS]!) },
      { name: 'three limits, passes: ours', call: (i) => ask(three, i) },
      { name: 'three limits, passes: library', call: (i) => union.consume(keys[i % KEYS]!) },
      { name: 'one limit, refused: ours', call: (i) => ask(none, i) },
      { name: 'one limit, refused: library', call: (i) => passes(full.consume(keys[i % KEYS]!)) },
    ],
    CALLS,
  )
  for (const [name, values] of found) {
    const { p25, median, p75 } = spreadOf(values)
    row(name, p25.toFixed(2), median.toFixed(2), p75.toFixed(2))
  }
}

/** What passes of a call a millisecond, on a clock of our own; `idle_ms`: one call, then nothing until then. */
async function edge(): Promise<void> {
  const real = Date.now
  let now_ms = 1_000_000
  Date.now = () => now_ms
  try {
    for (const [what, idle_ms] of [
      ['offered all the time', 0],
      ['one call, silence, then all of it from 1 ms before the window ends', 998],
    ] as const) {
      const { bank, ids } = bankOf(['10/s', 10])
      const lib = new RateLimiterMemory({ points: 10, duration: 1, keyPrefix: what })
      const passed: Record<'ours' | 'library', number[]> = { ours: [], library: [] }
      for (let ms = 0; ms < 10_000; ms++) {
        now_ms++
        if (ms > 0 && ms < idle_ms) continue
        // Ten at a moment: more than either should let pass at a time.
        for (let i = 0; i < 10; i++) {
          if (ms === 0 && idle_ms > 0 && i > 0) break
          const ours = bank.take(needsOf(ids, 'a'), { mono_ms: now_ms, wall_ms: now_ms })
          if (!isRefusal(ours)) passed.ours.push(ms)
          if (await passes(lib.consume('a'))) passed.library.push(ms)
        }
      }
      const most = (at: readonly number[], width: number): number =>
        Math.max(...at.map((from) => at.filter((ms) => ms >= from && ms < from + width).length))
      for (const who of ['ours', 'library'] as const)
        row(what, who, passed[who].length, most(passed[who], 5), most(passed[who], 1_000))
    }
  } finally {
    Date.now = real
  }
}

/** A call that one of its limits refuses: what the others have lost by a hundred of them. */
async function together(): Promise<void> {
  const { bank, ids } = bankOf(['100/h', 100], ['5/h', 5])
  const wide = new RateLimiterMemory({ points: 100, duration: 3_600, keyPrefix: 'wide' })
  const narrow = new RateLimiterMemory({ points: 5, duration: 3_600, keyPrefix: 'narrow' })
  const union = new RateLimiterUnion(wide, narrow)
  for (let i = 0; i < 100; i++) {
    bank.take(needsOf(ids, 'a'), clock())
    await passes(union.consume('a'))
  }
  const left = bank.bucket(`${ids[0]}\na`, clock())!
  row('of 100 after 100 calls, 5 of which passed', left.taken(clock()), (await wide.get('a'))!.consumedPoints)
}

async function redis(): Promise<void> {
  const server = await startRedis()
  const client = new Redis({
    port: server.port,
    enableAutoPipelining: true,
    scripts: { weirTake: { lua: TAKE } },
  }) as Redis & {
    weirTake(keys: number, ...rest: (string | number)[]): Promise<unknown>
  }
  const far = { points: 1_000_000_000, duration: 3_600, storeClient: client }
  const lib = new RateLimiterRedis({ ...far, keyPrefix: 'one' })
  const union = new RateLimiterUnion(
    ...['a', 'b', 'c'].map((keyPrefix) => new RateLimiterRedis({ ...far, keyPrefix })),
  )
  const ours = (names: readonly string[], i: number): Promise<unknown> => {
    const argv = names.flatMap(() => ['r', 1, 0, 1_000_000_000, 3.6, 0])
    return client.weirTake(names.length, ...names.map((name) => `{w}:${name}:${i % KEYS}`), 'm', 16, ...argv)
  }
  const variants: Variant[] = [
    { name: 'one limit: ours', call: (i) => ours(['x'], i) },
    { name: 'one limit: library', call: (i) => lib.consume(`${i % KEYS}`) },
    { name: 'three limits: ours', call: (i) => ours(['x', 'y', 'z'], i) },
    { name: 'three limits: library', call: (i) => union.consume(`${i % KEYS}`) },
  ]
  const commands = async (): Promise<number> =>
    [...(await client.info('commandstats')).matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce(
      (sum, [, calls]) => sum + Number(calls),
      0,
    )
  const found = new Map(
    variants.map(({ name }) => [name, { node: [] as number[], redis: [] as number[], commands: 0 }]),
  )
  for (let round = -2; round < ROUNDS; round++)
    for (const { name, call } of round % 2 ? variants : variants.toReversed()) {
      const [asked, in_redis, in_node] = [await commands(), cpuUs([server.pid()]), process.cpuUsage()]
      for (let i = 0; i < REDIS_CALLS; i += AT_ONCE)
        await Promise.all(Array.from({ length: AT_ONCE }, (_, k) => call(i + k)))
      const { user, system } = process.cpuUsage(in_node)
      const spent = cpuUs([server.pid()]) - in_redis
      if (round < 0) continue
      const one = found.get(name)!
      one.node.push((user + system) / REDIS_CALLS)
      one.redis.push(spent / REDIS_CALLS)
      one.commands = ((await commands()) - asked) / REDIS_CALLS
    }
  for (const [name, { node, redis: spent, commands: count }] of found)
    row(name, spreadOf(node).p25.toFixed(1), spreadOf(spent).p25.toFixed(1), count.toFixed(0))
  client.disconnect()
  await server.stop()
}

const before = loadNow()
async function table(title: string, head: string, fill: () => Promise<void>): Promise<void> {
  rows.push('', `## ${title}`, '', `| ${head} |`, `|${' --- |'.repeat(head.split('|').length)}`)
  process.stdout.write(`\n${title}\n`)
  await fill()
}
try {
  await table('In memory: microseconds of CPU a decision', 'what | p25 | median | p75', memory)
  await table(
    'A limit of 10 a second with a burst of 10: what passes',
    'calls | who | in 10 s | most in 5 ms | most in 1 s',
    edge,
  )
  await table('Two limits, 100 and 5 an hour: taken of the first', 'taken | ours | library', together)
  await table(
    `Over Redis, ${AT_ONCE} at once: microseconds of CPU a decision`,
    'what | Node | Redis | scripts run',
    redis,
  )
  const { cpu, cores } = machineOf()
  writeFileSync(
    join(ROOT, 'bench/results/limiters.md'),
    `<!-- Made by bench/limiters.ts. -->

# Our limits beside rate-limiter-flexible

Commit ${commitOf()}, ${new Date().toISOString().slice(0, 16)}Z, ${cpu}, ${cores} cores, load average ${before.join(' ')} before and
${loadNow().join(' ')} after. ${ROUNDS} rounds in turn; the figure is the 25th percentile. Ours in memory is what the keeper does; a worker
that was lent units decides without it.
${rows.join('\n')}
`,
  )
} finally {
  await stopAll()
}
