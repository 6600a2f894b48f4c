/** Simulated traffic of an installation: four servers, eight tools, three callers, as events. The clock and chance are given. */
import { createHash } from 'node:crypto'
import type { CallEvent } from '../../../event/fields.ts'
import { makeEvent } from '../../collector/support/events.ts'

/** Called so often in five minutes at the busiest time; time a call usually takes; bytes of a usual result. */
const TOOLS = [
  { server: 'bank', tool: 'balance', rate: 14, usual_us: 40_000, bytes: 900 },
  { server: 'bank', tool: 'transfer', rate: 9, usual_us: 90_000, bytes: 400 },
  { server: 'files', tool: 'read', rate: 14, usual_us: 25_000, bytes: 12_000 },
  { server: 'files', tool: 'list', rate: 10, usual_us: 15_000, bytes: 3_000 },
  { server: 'search', tool: 'web', rate: 11, usual_us: 400_000, bytes: 6_000 },
  { server: 'search', tool: 'news', rate: 10, usual_us: 300_000, bytes: 5_000 },
  { server: 'mail', tool: 'send', rate: 10, usual_us: 60_000, bytes: 200 },
  { server: 'mail', tool: 'inbox', rate: 11, usual_us: 80_000, bytes: 4_000 },
] as const
/** Hours of the day (UTC) in which a caller works. */
const CALLERS = [
  { caller: 'rm-agent', team: 'research', from: 0, to: 24 },
  { caller: 'planner', team: 'research', from: 0, to: 24 },
  { caller: 'clerk', team: 'ops', from: 8, to: 18 },
] as const
const SERVERS = ['bank', 'files', 'search', 'mail'] as const
const ERROR_RATE = 0.01
const STEP_S = 300

export type Random = () => number
/** What a fault makes of a call; null: the call does not happen. */
export type Change = (call: Partial<CallEvent>, random: Random) => Partial<CallEvent> | null

const hash = (text: string): string => createHash('md5').update(text).digest('hex')
/** Of a normal distribution, more or less. */
const normal = (random: Random): number => {
  let sum = -6
  for (let i = 0; i < 12; i++) sum += random()
  return sum
}
function poisson(random: Random, mean: number): number {
  const limit = Math.exp(-mean)
  let count = -1
  for (let product = 1; product > limit; product *= random()) count++
  return count
}
/** Fewer calls at night, most at two in the afternoon. */
const season = (t: number): number => 0.9 + 0.1 * Math.cos((2 * Math.PI * ((t % 86_400) / 3_600 - 14)) / 24)

export const failed = (reason: string): Partial<CallEvent> => ({
  outcome: 'tool_error',
  owner: 'upstream',
  error_type: 'tool_error',
  error_message: reason,
  error_fingerprint: hash(reason).slice(0, 16),
})

/** One call at `ts_s`, seconds since 1970. Every 'run' of a caller takes ten minutes. */
export function callOf(
  ts_s: number,
  { caller, team }: { caller: string; team: string },
  more: Partial<CallEvent>,
): Partial<CallEvent> {
  const run = `${caller}-${Math.floor(ts_s / 600)}`
  return {
    ts: Math.round(ts_s * 1e6),
    caller,
    team,
    run_id: run,
    session_id: run,
    principal: caller,
    ...more,
  }
}

/** Usual calls from `from` to `to` (seconds, multiples of five minutes), each as `change` leaves it, by time. */
export function traffic(
  random: Random,
  from: number,
  to: number,
  change: Change = (call) => call,
): CallEvent[] {
  const calls: Partial<CallEvent>[] = []
  for (let t = from; t < to; t += STEP_S) {
    const hour = Math.floor((t % 86_400) / 3_600)
    const here = CALLERS.filter((c) => hour >= c.from && hour < c.to)
    for (const { server, tool, rate, usual_us, bytes } of TOOLS) {
      const count = poisson(random, rate * season(t))
      for (let i = 0; i < count; i++) {
        const duration_us = Math.round(usual_us * Math.exp(0.5 * normal(random)))
        calls.push(
          callOf(t + random() * STEP_S, here[Math.floor(random() * here.length)]!, {
            server,
            tool,
            duration_us,
            upstream_us: duration_us - 800,
            response_bytes: Math.round(bytes * Math.exp(0.3 * normal(random))),
            arguments_hash: hash(`${random()}`),
            ...(random() < ERROR_RATE ? failed('no such item') : {}),
          }),
        )
      }
    }
    // Everybody lists the tools of every server once an hour.
    if (t % 3_600 === 0)
      for (const caller of here)
        for (const server of SERVERS)
          calls.push(
            callOf(t + random() * STEP_S, caller, {
              server,
              tool: '',
              method: 'tools/list',
              list_items: 2,
              duration_us: 5_000,
              arguments_hash: '',
            }),
          )
  }
  return calls
    .flatMap((call) => change(call, random) ?? [])
    .sort((a, b) => a.ts! - b.ts!)
    .map((call) => makeEvent(call))
}
