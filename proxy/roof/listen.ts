/**
 * subscriptions/listen under the roof: one listen stream with each server, merged. The request's own id goes to every
 * server, so what they stamp with it is right for the client as it comes. The first message says what all of them honour
 * together. Source: MCP 2026-07-28, subscriptions.
 */
import type { Call } from '../call.ts'
import { messageFrame } from '../mcp/frames.ts'
import { withTraceparent } from '../mcp/propagate.ts'
import { setValue } from '../mcp/splice.ts'
import { ACKNOWLEDGED, acknowledgement } from '../mcp/subscriptions.ts'
import { nowUs } from '../telemetry/clock.ts'
import { newSpanId } from '../telemetry/random.ts'
import { traceparent } from '../telemetry/trace.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { MergedStream } from './stream.ts'
import type { RoofSurroundings } from './surroundings.ts'

/** What one server is asked to tell. */
export type Listening = {
  readonly upstream: Upstream
  readonly headers: string[]
  /** Part of the client's filter that concerns this server. */
  readonly filter: Record<string, unknown>
}

/** Holds the stream open until the client leaves or the worker drains; the call's event is written then. */
export function openRoofListen(
  call: Call,
  servers: readonly Listening[],
  acknowledge_ms: number,
  env: RoofSurroundings,
): void {
  const honoured: Record<string, unknown> = {}
  const silent = new Set(servers.map(({ upstream }) => upstream.name))
  /** Messages that came before the acknowledgement, which goes first; null once it is out. */
  let early: string[] | null = []
  call.client_span_id = newSpanId()
  const parent = traceparent(call, call.client_span_id)
  const traced = withTraceparent(call.text, call.message!, parent, call.tracestate)
  call.forwarded_us = call.sent_us = nowUs()
  call.attempts = servers.length

  const acknowledge = (): void => {
    if (early === null) return
    clearTimeout(timer)
    stream.write(messageFrame(acknowledgement(call.id!, honoured)))
    for (const json of early) stream.write(messageFrame(json))
    early = null
  }
  const heardFrom = (server: string): void => {
    silent.delete(server)
    if (silent.size === 0) acknowledge()
  }
  const hear = (server: string, json: string): void => {
    env.sawMessage(server, json)
    if (!env.mayHear(call, server, json)) return
    const { id, method, params } = read(json)
    // The end of one server's stream is not the end of this one.
    if (id !== undefined) return heardFrom(server)
    if (method === ACKNOWLEDGED) {
      merge(honoured, params?.notifications ?? {})
      return heardFrom(server)
    }
    call.stream_messages++
    if (early === null) stream.write(messageFrame(json))
    else early.push(json)
  }

  const stream = new MergedStream(call, () => {
    clearTimeout(timer)
    call.last_byte_us = nowUs()
    env.record(call)
  })
  // A server that does not say what it honours must not keep the others' news back.
  const timer = setTimeout(acknowledge, acknowledge_ms)
  for (const { upstream, headers, filter } of servers) {
    const body = setValue(traced, ['params', 'notifications'], JSON.stringify(filter))
    stream.watch(upstream.name, {
      open: (handler) => upstream.send('POST', [...headers, 'traceparent', parent], body, handler, true),
      hear: (json) => hear(upstream.name, json),
      refused: () => heardFrom(upstream.name),
    })
  }
  if (servers.length === 0) acknowledge()
}

type Told = { id?: unknown; method?: unknown; params?: { notifications?: Record<string, unknown> } }

/** A message as far as it matters here; what cannot be read is passed on as it is. */
function read(json: string): Told {
  try {
    return (JSON.parse(json) ?? {}) as Told
  } catch {
    return {}
  }
}

/** Adds what one server honours to what others do. */
function merge(into: Record<string, unknown>, more: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(more)) {
    const before = into[name]
    into[name] = Array.isArray(value) && Array.isArray(before) ? [...before, ...value] : value
  }
}
