/**
 * Messages on their way. The intention is in the store before anything is sent, and what became of it after: a collector that is
 * killed in between leaves a message that the next one sends again, under the same key.
 * Each receiver has a lane of its own and gets its messages in order: one that is down holds up nobody else, and never hears of
 * an end before the beginning.
 */
import { type Log, reasonOf } from '../../log.ts'
import { compactLines, type Store } from '../../sink/store.ts'
import { type Last, type Message, placeOf } from './groups.ts'
import type { Target } from './receivers/receivers.ts'
import { type HttpRequest, type Outcome, post } from './receivers/request.ts'

const TIMEOUT_MS = 10_000
const BACKOFF_FIRST_MS = 1_000
const BACKOFF_MAX_MS = 300_000
/** Nobody wants to hear after this long what was the matter. */
const GIVE_UP_MS = 86_400_000
/** Messages a receiver may be behind; more of them are given up, the oldest first, and said to be. */
const WAITING_MAX = 1_000
/** One run takes no longer than this on top of its last request: a stop of the collector waits for it. */
const RUN_MS = 4_000

const COLUMNS = [
  'ts',
  'key',
  'receiver',
  'group_key',
  'rule',
  'fingerprints',
  'resolved',
  'status',
  'attempt',
  'http_status',
  'error',
  'message',
  'sender',
]

type Waiting = { message: Message; queued_ms: number; attempt: number }
type Lane = { waiting: Waiting[]; due_ms: number; isSending: boolean }

export type OutboxParts = {
  store: Store
  log: Log
  /** Name of this collector's term: what tells its intentions from those of another. */
  sender(): string
  /** `result`: sent, retry, failed. */
  onAttempt(receiver: string, result: string): void
  /** Between 0 and 1. */
  random?: () => number
  send?: (request: HttpRequest, timeout_ms: number, now_ms: number) => Promise<Outcome>
}

export type Outbox = {
  /** Takes over what is in the store: messages not yet out, and what each receiver was last told. */
  load(now_ms: number): Promise<ReadonlyMap<string, Last>>
  /** Resolves once the intention is in the store. The messages go out with the next `run`. */
  queue(messages: readonly Message[], now_ms: number): Promise<void>
  run(targets: readonly Target[], now_ms: number, clock: () => number): Promise<void>
  waiting(receiver: string): number
}

/** Doubles from a second up to five minutes, half of it by chance. */
export const backoff = (attempt: number, random: number): number =>
  Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt - 1, 20)) * (0.5 + random / 2)

const givenUp = (error: string): Outcome => ({ result: 'refused', http_status: 0, error, retry_after_ms: 0 })

const rulesOf = (message: Message): string =>
  [...new Set(message.alerts.map((alert) => alert.labels.alertname ?? ''))].join(' ').slice(0, 200)

export function openOutbox(parts: OutboxParts): Outbox {
  const { store, log } = parts
  const send = parts.send ?? post
  const random = parts.random ?? Math.random
  const lanes = new Map<string, Lane>()
  /** What happened and is not in the store yet: it must not be done again meanwhile. */
  let unwritten: { token: string; row: unknown[] }[] = []
  let isLoading = false
  let running: Promise<unknown> = Promise.resolve()

  const laneOf = (receiver: string): Lane => {
    const lane = lanes.get(receiver) ?? { waiting: [], due_ms: 0, isSending: false }
    lanes.set(receiver, lane)
    return lane
  }
  const note = (waiting: Waiting, status: string, outcome: Outcome, now_ms: number): void => {
    const { key, receiver } = waiting.message
    const { http_status, error } = outcome
    const row = [
      now_ms,
      key,
      receiver,
      '',
      rulesOf(waiting.message),
      [],
      [],
      status,
      waiting.attempt,
      http_status,
      error,
      '',
      parts.sender(),
    ]
    unwritten.push({ token: `${key}:${parts.sender()}:${waiting.attempt}:${status}`, row })
    parts.onAttempt(receiver, status)
    if (status !== 'sent')
      log(
        'warn',
        status === 'retry'
          ? 'a receiver of alerts does not take a message, trying again'
          : 'a message to a receiver of alerts is given up',
        {
          receiver,
          key,
          attempt: waiting.attempt,
          reason: error,
        },
      )
  }
  const flush = async (): Promise<void> => {
    while (unwritten.length > 0) {
      const { token, row } = unwritten[0]!
      await store.insert('alert_deliveries', COLUMNS, compactLines([row]), token)
      unwritten = unwritten.slice(1)
    }
  }

  /** All requests of a message; what the worst of them came to. */
  const attempt = async (requests: readonly HttpRequest[], clock: () => number): Promise<Outcome> => {
    let last: Outcome = { result: 'sent', http_status: 0, error: '', retry_after_ms: 0 }
    for (const request of requests) {
      last = await send(request, TIMEOUT_MS, clock())
      if (last.result !== 'sent') return last
    }
    return last
  }

  const serve = async (target: Target, now_ms: number, clock: () => number): Promise<void> => {
    const lane = laneOf(target.name)
    while (lane.waiting.length > 0 && clock() >= lane.due_ms && clock() - now_ms < RUN_MS) {
      const first = lane.waiting[0]!
      first.attempt++
      lane.isSending = true
      const outcome = await attempt(target.requests(first.message, clock()), clock).finally(() => {
        lane.isSending = false
      })
      const isLate = clock() - first.queued_ms > GIVE_UP_MS
      if (outcome.result === 'retry' && !isLate) {
        lane.due_ms = clock() + Math.max(outcome.retry_after_ms, backoff(first.attempt, random()))
        note(first, 'retry', outcome, clock())
        return
      }
      lane.waiting.shift()
      lane.due_ms = 0
      note(first, outcome.result === 'sent' ? 'sent' : 'failed', outcome, clock())
    }
  }

  const deliver = async (targets: readonly Target[], now_ms: number, clock: () => number): Promise<void> => {
    await flush()
    const known = new Set(targets.map((target) => target.name))
    for (const [name, lane] of lanes)
      if (!known.has(name))
        for (const waiting of lane.waiting.splice(0))
          note(waiting, 'failed', givenUp('the receiver is no longer in the config'), now_ms)
    await Promise.all(
      targets.map((target) =>
        serve(target, now_ms, clock).catch((error: unknown) =>
          log('error', 'defect in a receiver of alerts', { receiver: target.name, reason: reasonOf(error) }),
        ),
      ),
    )
    await flush()
  }

  return {
    async load(now_ms) {
      isLoading = true
      try {
        // What is being sent, or was and is not noted yet, would look as if it still had to be.
        await running
        await flush()
        const { last, messages } = await readOutbox(store, now_ms)
        lanes.clear()
        for (const { message, queued_ms, attempt } of messages)
          laneOf(message.receiver).waiting.push({ message, queued_ms, attempt })
        return last
      } finally {
        isLoading = false
      }
    },
    async queue(messages, now_ms) {
      for (const message of messages) {
        const { key, receiver, group_key, firing, resolved } = message
        const row = [
          now_ms,
          key,
          receiver,
          group_key,
          rulesOf(message),
          firing,
          resolved,
          'queued',
          0,
          0,
          '',
          JSON.stringify(message),
          parts.sender(),
        ]
        await store.insert('alert_deliveries', COLUMNS, compactLines([row]), `${key}:queued`)
        const [kept] = await store.rows<{ sender: string }>(
          `SELECT any(d.sender) AS sender FROM ${store.database}.alert_deliveries AS d WHERE d.key = {key:String} AND d.status = 'queued'`,
          { key },
        )
        // The same news of another collector was there first: it sends it, or leaves it to the next.
        if (kept && kept.sender !== parts.sender()) continue
        const lane = laneOf(receiver)
        if (lane.waiting.some((waiting) => waiting.message.key === key)) continue
        lane.waiting.push({ message, queued_ms: now_ms, attempt: 0 })
        while (lane.waiting.length > WAITING_MAX) {
          // The first may be on its way just now.
          const [dropped] = lane.waiting.splice(lane.isSending ? 1 : 0, 1) as [Waiting]
          note(dropped, 'failed', givenUp('too many messages wait'), now_ms)
        }
      }
    },
    async run(targets, now_ms, clock) {
      if (isLoading) return
      const work = deliver(targets, now_ms, clock)
      running = work.catch(() => {})
      await work
    },
    waiting: (receiver) => lanes.get(receiver)?.waiting.length ?? 0,
  }
}

/** What receivers were told longest ago that may still matter: an alert may fire this long. */
const LAST_DAYS = 90

/** Reads back what `queue` and `run` wrote. */
async function readOutbox(
  store: Store,
  now_ms: number,
): Promise<{ last: Map<string, Last>; messages: Waiting[] }> {
  const { database } = store
  const params = { since: now_ms / 1000 - LAST_DAYS * 86_400 }
  const told = await store.rows<{ receiver: string; group_key: string; at_ms: string; firing: string[] }>(
    `SELECT receiver, group_key, toString(toUnixTimestamp64Milli(max(d.ts))) AS at_ms, argMax(d.fingerprints, d.ts) AS firing
     FROM ${database}.alert_deliveries AS d WHERE d.status = 'queued' AND d.ts > toDateTime({since:Float64})
     GROUP BY receiver, group_key`,
    params,
  )
  const left = await store.rows<{ message: string; queued_ms: string; attempt: number }>(
    `SELECT anyIf(d.message, d.status = 'queued') AS message, toString(toUnixTimestamp64Milli(min(d.ts))) AS queued_ms, max(d.attempt) AS attempt
     FROM ${database}.alert_deliveries AS d WHERE d.ts > toDateTime({since:Float64})
     GROUP BY d.key HAVING countIf(d.status = 'queued') > 0 AND countIf(d.status IN ('sent', 'failed')) = 0
     ORDER BY min(d.ts), d.key`,
    params,
  )
  return {
    last: new Map(
      told.map((row) => [
        placeOf(row.receiver, row.group_key),
        { at_ms: Number(row.at_ms), firing: new Set(row.firing) },
      ]),
    ),
    messages: left.map((row) => ({
      message: JSON.parse(row.message) as Message,
      queued_ms: Number(row.queued_ms),
      attempt: row.attempt,
    })),
  }
}
