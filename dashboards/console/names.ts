/** How things are called and linked, the same in every view. */
import { type Children, html } from './html.ts'
import { to } from './route.ts'
import { ago, clock, momentMs, utc } from './time.ts'

export const segment = (text: string): string => encodeURIComponent(text)

/** A tool by server and name; a method where there is no tool; Weir where no server was asked. */
export const toolName = ({
  server,
  tool,
  method,
}: {
  server: string
  tool: string
  method: string
}): string => `${server || 'weir'} / ${tool || method || 'unreadable'}`

export const toolHref = ({
  server,
  tool,
  method,
}: {
  server: string
  tool: string
  method: string
}): string =>
  tool ? to(`/tools/${segment(server || '-')}/${segment(tool)}`) : to('/audit', { server, method })

export const traceHref = (trace_id: string, span_id = ''): string =>
  to(`/trace/${segment(trace_id)}`, { span: span_id })

export function ToolLink(row: { server: string; tool: string; method: string }) {
  return html`<a href=${toolHref(row)}><span class="muted">${row.server || 'weir'} / </span>${row.tool || row.method || 'unreadable'}</a>`
}

/** A moment the store wrote: local time, UTC as title. */
export function When({ ts, relative = false }: { ts: string; relative?: boolean }) {
  const ms = momentMs(ts)
  return html`<time datetime=${utc(ms)} title=${`${utc(ms)} (UTC)`}>${relative ? ago(ms) : clock(ms)}</time>`
}

const GOOD = new Set(['ok', 'input_required'])
const CLIENT = new Set(['client', 'none'])

export function Outcome({ outcome, owner = '' }: { outcome: string; owner?: string }): Children {
  const tone = GOOD.has(outcome) ? 'good' : CLIENT.has(owner) ? 'warn' : 'bad'
  return html`<span class=${`tag ${tone}`}>${outcome}</span>`
}

export const runHref = (run_id: string): string => to(`/runs/${segment(run_id)}`)
/** One event whole, in Audit. */
export const eventHref = (event_id: string): string => to('/audit', { event_id, event: event_id })
/** What made calls one run, and how sure that is. */
export const groupedBy = (r: { run_source: string; confidence: number }): string =>
  `${r.run_source}, ${r.confidence} %`
