/**
 * Trace context of a call: `_meta` wins when valid, HTTP headers come second (W3C Trace Context; MCP SEP-414).
 * Calls that bring none share the trace of their run: the session, or what inferred-runs.ts takes for one agent's.
 */
import type { Config } from '../../config/schema.ts'
import type { Call } from '../call.ts'
import { clueOf, type RunRules, weighRun } from './clues.ts'
import { flat } from './flat.ts'
import type { InferredRuns } from './inferred-runs.ts'
import { newSpanId } from './random.ts'

/** Version 00 ends with the flags; later versions may go on. */
const TRACEPARENT =
  /^(?:00(?=.{53}$)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/
const LABEL_MAX_CHARS = 200

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** A tracestate of at most 512 characters: whole members are left out at the end (W3C Trace Context 3.3.1.5). */
const cutTracestate = (state: string): string =>
  state.length <= 512 ? state : state.slice(0, state.lastIndexOf(',', 512)).slice(0, 512)

/** Fills in trace, parent, link and run of a call. */
export function traceCall(
  call: Call,
  incoming: Config['trace']['incoming'],
  rules: RunRules,
  runs: InferredRuns,
): void {
  // A client may send null here.
  const meta = call.message?.params?._meta ?? undefined
  const headers = call.req.headers
  const fromMeta =
    incoming === 'ignore' || meta === undefined ? null : TRACEPARENT.exec(text(meta.traceparent))
  const header = headers.traceparent
  const fromHeader = incoming === 'ignore' || header === undefined ? null : TRACEPARENT.exec(text(header))
  const context = fromMeta ?? fromHeader
  call.span_id = newSpanId()
  if (context && incoming === 'parent') {
    call.trace_id = flat(context[1]!)
    call.parent_span_id = flat(context[2]!)
    call.trace_flags = context[3]!
    call.trace_source = fromMeta ? 'meta' : 'header'
    call.tracestate = cutTracestate(fromMeta ? text(meta?.tracestate) : text(headers.tracestate))
    const link = fromMeta && fromHeader
    if (link) {
      call.link_trace_id = flat(link[1]!)
      call.link_span_id = flat(link[2]!)
    }
  } else {
    if (context) {
      call.link_trace_id = flat(context[1]!)
      call.link_span_id = flat(context[2]!)
    }
    if (call.session) call.trace_id = call.session.handle
    else {
      const clue = clueOf(call, rules)
      // A session begins a trace of its own; its id becomes the session's handle.
      const begins = call.method === 'initialize'
      call.inferred = begins
        ? runs.begin(clue, call.received_us, rules.gap_us)
        : runs.assign(clue, call.received_us, rules.gap_us)
      call.trace_id = call.inferred.trace_id
    }
    call.trace_source = 'run'
  }
  if (call.run_label) {
    call.run_id = call.run_label
    call.run_source = 'label'
  } else if (call.session) {
    call.run_id = call.session.handle
    call.run_source = 'session'
  } else {
    call.run_id = call.trace_id
    call.run_source = call.trace_source === 'run' ? 'inferred' : 'trace'
  }
  weighRun(call)
}

/** traceparent that a hop with `span_id` sends on. */
export const traceparent = (call: Call, span_id: string): string =>
  `00-${call.trace_id}-${span_id}-${call.trace_flags}`

export type LabelRule = { readonly label: string; readonly header: string; readonly baggage: string }

export const compileLabels = (labels: Config['labels']): readonly LabelRule[] =>
  Object.entries(labels).map(([label, from]) => ({
    label,
    header: from.header?.toLowerCase() ?? '',
    baggage: from.baggage ?? '',
  }))

/** One member of a W3C baggage list, decoded; '' when it is not there. */
function baggageValue(list: string, key: string): string {
  for (const entry of list.split(',')) {
    const [pair] = entry.split(';', 1)
    const at = pair!.indexOf('=')
    if (at > 0 && pair!.slice(0, at).trim() === key) {
      const raw = pair!.slice(at + 1).trim()
      try {
        return decodeURIComponent(raw)
      } catch {
        return raw
      }
    }
  }
  return ''
}

/** Takes the allowed labels from headers, then `_meta` baggage, then the baggage header; the first that has one wins. */
export function readLabels(call: Call, rules: readonly LabelRule[]): void {
  const headers = call.req.headers
  const metaBaggage = text(call.message?.params?._meta?.baggage)
  const headerBaggage = text(headers.baggage)
  for (const { label, header, baggage } of rules) {
    const value = (
      (header && text(headers[header])) ||
      (baggage && metaBaggage && baggageValue(metaBaggage, baggage)) ||
      (baggage && headerBaggage && baggageValue(headerBaggage, baggage)) ||
      ''
    ).slice(0, LABEL_MAX_CHARS)
    if (!value) continue
    if (label === 'agent') call.agent = value
    else if (label === 'run') call.run_label = value
    else if (label === 'project') call.project = value
    else call.labels = { ...call.labels, [label]: value }
  }
}
