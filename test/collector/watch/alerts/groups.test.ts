import { expect, test } from 'vitest'
import type { Alert } from '../../../../collector/watch/alerts/alert.ts'
import {
  type Last,
  type Message,
  placeOf,
  planMessages,
  type Receiver,
} from '../../../../collector/watch/alerts/groups.ts'

const PACE = { group_by: ['server'], group_wait_ms: 10, group_interval_ms: 100, repeat_interval_ms: 1000 }
const receiver = (more: Partial<Receiver> = {}): Receiver => ({
  name: 'hook',
  unit: 'group',
  send_resolved: true,
  isMeant: () => true,
  ...more,
})
const firing = (fingerprint: string, at_ms: number, more: Partial<Alert> = {}): Alert => ({
  rule: 'R',
  severity: 'warning',
  fingerprint,
  labels: { server: 'bank', id: fingerprint },
  annotations: {},
  value: 1,
  standing: { state: 'firing', since_ms: at_ms, starts_ms: at_ms, clear_ms: 0, missed: 0 },
  starts_ms: at_ms,
  ends_ms: 0,
  silenced_by: '',
  ...more,
})
const over = (alert: Alert, at_ms: number): Alert => ({ ...alert, standing: null, ends_ms: at_ms })
const pending = (alert: Alert): Alert => ({ ...alert, standing: { ...alert.standing!, state: 'pending' } })

/** As the evaluator does: what is planned is what was told. */
function play(target: Receiver) {
  const last = new Map<string, Last>()
  return (alerts: Alert[], now_ms: number): string[] => {
    const messages = planMessages(alerts, [target], PACE, last, now_ms)
    for (const message of messages)
      last.set(placeOf(message.receiver, message.group_key), {
        at_ms: now_ms,
        firing: new Set(message.firing),
      })
    return messages.map(
      (m: Message) => `${m.reason}: ${m.alerts.map((a) => `${a.fingerprint} ${a.status}`).join(', ')}`,
    )
  }
}

test('a group waits for company, is told once, again after the repeat interval, and that it is over', () => {
  const tell = play(receiver())
  const a = firing('a', 0)
  const b = firing('b', 5)
  expect(tell([a], 0)).toEqual([])
  expect(tell([a, b], 10)).toEqual(['news: a firing, b firing'])
  expect(tell([a, b], 50)).toEqual([])
  expect(tell([a, b], 1009)).toEqual([])
  expect(tell([a, b], 1010)).toEqual(['repeat: a firing, b firing'])
  expect(tell([over(a, 1011), b], 1011)).toEqual([])
  expect(tell([over(a, 1011), b], 1110)).toEqual(['news: b firing, a resolved'])
  expect(tell([over(b, 1111)], 1300)).toEqual(['news: b resolved'])
  expect(tell([over(b, 1111)], 9000)).toEqual([])
})

test('who did not hear that it fired does not hear that it is over', () => {
  const tell = play(receiver())
  expect(tell([pending(firing('a', 0))], 100)).toEqual([])
  expect(tell([over(firing('a', 0), 100)], 200)).toEqual([])
})

test('what is silenced is not told and not repeated, but its end is, when its beginning was', () => {
  const tell = play(receiver())
  const quiet = firing('a', 0, { silenced_by: 'night' })
  expect(tell([quiet], 100)).toEqual([])
  expect(tell([firing('a', 0)], 200)).toEqual(['news: a firing'])
  expect(tell([quiet], 5000)).toEqual([])
  expect(tell([over(quiet, 5001)], 5100)).toEqual(['news: a resolved'])
})

test('news waits for the interval of its group, and other groups do not', () => {
  const tell = play(receiver())
  const a = firing('a', 0)
  expect(tell([a], 10)).toEqual(['news: a firing'])
  const b = firing('b', 20)
  const other = firing('c', 20, { labels: { server: 'files' } })
  expect(tell([a, b, other], 30)).toEqual(['news: c firing'])
  expect(tell([a, b, other], 109)).toEqual([])
  expect(tell([a, b, other], 110)).toEqual(['news: a firing, b firing'])
})

test('a receiver of single alerts gets each at once, one of states gets only what changed', () => {
  const single = play(receiver({ unit: 'alert' }))
  const states = play(receiver({ unit: 'changes' }))
  const a = firing('a', 0)
  const b = firing('b', 0)
  expect(single([a, b], 0)).toEqual(['news: a firing', 'news: b firing'])
  expect(states([a, b], 0)).toEqual(['news: a firing, b firing'])
  expect(single([over(a, 1), b], 1)).toEqual(['news: a resolved'])
  expect(states([over(a, 1), b], 1)).toEqual(['news: a resolved'])
  expect(states([b], 99_999)).toEqual([])
  expect(single([b], 99_999)).toEqual(['repeat: b firing'])
})

test('matchers decide who hears it; keys are equal for equal news and differ for others', () => {
  const a = firing('a', 0)
  const plan = (last: Map<string, Last>, now_ms: number): Message[] =>
    planMessages([a], [receiver(), receiver({ name: 'deaf', isMeant: () => false })], PACE, last, now_ms)
  const [first, ...more] = plan(new Map(), 10)
  expect(more).toEqual([])
  expect(plan(new Map(), 500)[0]!.key).toBe(first!.key)
  const last = new Map([[placeOf('hook', first!.group_key), { at_ms: 10, firing: new Set(['a']) }]])
  const [repeated] = plan(last, 2000)
  expect(repeated!.reason).toBe('repeat')
  expect(repeated!.key).not.toBe(first!.key)
})

test('who does not want to hear of ends is not told again what still fires when something ends', () => {
  const target = receiver({ send_resolved: false })
  const tell = play(target)
  const [a, b, c] = [firing('a', 0), firing('b', 0), firing('c', 500)]
  expect(tell([a, b], 10)).toEqual(['news: a firing, b firing'])
  // An end alone becomes no request (receivers.ts), and is noted as told.
  expect(tell([over(a, 200), b], 210)).toEqual(['news: a resolved'])
  expect(tell([over(a, 200), b, c], 510)).toEqual(['news: b firing, c firing'])
})
