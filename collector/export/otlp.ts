/**
 * Weir's spans to other backends over OTLP/HTTP, after the store has them and never in the way of anyone: a bounded queue
 * per endpoint, one request at a time, and what does not fit or does not arrive is dropped and counted. The store keeps
 * the truth; a backend that was away for long misses spans.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import type { CallEvent } from '../../event/fields.ts'
import { type Log, reasonOf } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { OtlpTarget } from '../options.ts'
import { spansOf } from '../spans/readable.ts'

export type SpanExport = {
  /** Queues the spans of stored events. Never waits, never throws. */
  enqueue(events: readonly CallEvent[]): void
  /** Sends what is queued, for at most `timeout_ms`, and ends. */
  close(timeout_ms: number): Promise<void>
}

/** Most spans encoded in one go: the encoder runs on the event loop, and this much takes it a few milliseconds. */
const ENCODE_MAX = 128
/** A batch that is not full waits this long for more. */
const LINGER_MS = 500
const COMPLAIN_EVERY_MS = 60_000

type Endpoint = { push(events: readonly CallEvent[]): void; close(timeout_ms: number): Promise<void> }
type Send = (spans: ReadableSpan[]) => Promise<void>

function sender(target: OtlpTarget): { send: Send; close(): Promise<void> } {
  const exporter = new OTLPTraceExporter({
    url: target.url,
    headers: { ...target.headers },
    timeoutMillis: target.timeout_ms,
    concurrencyLimit: 1,
  })
  return {
    send: (spans) =>
      new Promise((resolve, reject) =>
        exporter.export(spans, (result) =>
          result.code === 0 ? resolve() : reject(result.error ?? new Error('not exported')),
        ),
      ),
    close: () => exporter.shutdown(),
  }
}

function openEndpoint(target: OtlpTarget, number: number, metrics: Metrics, log: Log): Endpoint {
  const endpoint = String(number)
  const { send, close } = sender(target)
  // Events, not spans: they are a third of the size, and become spans when their turn comes.
  let queue: CallEvent[] = []
  let spansQueued = 0
  let running: Promise<void> | null = null
  let timer: NodeJS.Timeout | undefined
  let isClosing = false
  let complained_ms = 0
  const count = (result: string, spans: number): void =>
    metrics.count('weir_collector_export_spans_total', spans, { endpoint, result })

  const sendNext = async (): Promise<void> => {
    const spans: ReadableSpan[] = []
    let taken = 0
    while (taken < queue.length && spans.length < Math.min(target.batch_max, ENCODE_MAX))
      spans.push(...spansOf(queue[taken++]!))
    queue = queue.slice(taken)
    spansQueued = Math.max(0, spansQueued - spans.length)
    metrics.set('weir_collector_export_queue_spans', spansQueued, { endpoint })
    if (spans.length === 0) return
    try {
      await send(spans)
      count('sent', spans.length)
    } catch (error) {
      count('failed', spans.length)
      if (Date.now() - complained_ms < COMPLAIN_EVERY_MS) return
      complained_ms = Date.now()
      log('warn', 'spans not exported', {
        endpoint: number,
        host: new URL(target.url).host,
        reason: reasonOf(error),
      })
    }
  }
  const run = async (): Promise<void> => {
    while (queue.length > 0) {
      await sendNext()
      await nextTurn()
    }
  }
  const start = (): void => {
    clearTimeout(timer)
    timer = undefined
    running ??= run().finally(() => {
      running = null
    })
  }
  return {
    push(events) {
      if (isClosing)
        return count(
          'dropped',
          events.reduce((sum, event) => sum + spanCount(event), 0),
        )
      for (const event of events) {
        const spans = spanCount(event)
        if (spans === 0) continue
        if (spansQueued + spans > target.queue_max) {
          count('dropped', spans)
          continue
        }
        // Captured content is for the store alone, and would only fill the queue.
        queue.push(
          event.captured_arguments || event.captured_result
            ? { ...event, captured_arguments: '', captured_result: '' }
            : event,
        )
        spansQueued += spans
      }
      metrics.set('weir_collector_export_queue_spans', spansQueued, { endpoint })
      if (spansQueued >= Math.min(target.batch_max, ENCODE_MAX)) start()
      else if (spansQueued > 0 && !running) timer ??= setTimeout(start, LINGER_MS)
    },
    async close(timeout_ms) {
      isClosing = true
      start()
      const late = new Promise<void>((resolve) => setTimeout(resolve, timeout_ms).unref())
      await Promise.race([running ?? Promise.resolve(), late])
      if (spansQueued > 0) count('dropped', spansQueued)
      queue = []
      await Promise.race([close().catch(() => {}), late])
    },
  }
}

const spanCount = (event: CallEvent): number =>
  event.span_id === '' ? 0 : 1 + (event.upstream_attempts.length || (event.client_span_id === '' ? 0 : 1))

/** Null when there is no endpoint: then nobody keeps the events of a batch. */
export function openSpanExport(
  targets: readonly OtlpTarget[],
  metrics: Metrics,
  log: Log,
): SpanExport | null {
  if (targets.length === 0) return null
  const endpoints = targets.map((target, i) => openEndpoint(target, i, metrics, log))
  return {
    enqueue(events) {
      for (const endpoint of endpoints) endpoint.push(events)
    },
    async close(timeout_ms) {
      await Promise.all(endpoints.map((endpoint) => endpoint.close(timeout_ms)))
    },
  }
}
