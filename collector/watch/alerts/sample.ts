/** How a sample is put together, whatever its rule looks at: labels, links, evidence and example traces. */
import type { Rule } from '../../../config/alert-rules.ts'
import type { Series } from '../../queries/alert-figures.ts'
import { type ORDERS, run as readTraces } from '../../queries/alert-traces.ts'
import type { Annotations, Sample } from './alert.ts'
import { absolute, consoleUrl, runbookUrl, type View } from './links.ts'
import type { Look } from './look.ts'

const LABEL_MAX = 256
const TEXT_MAX = 2_000

export type Shown = {
  summary: string
  view: View
  /** How far back the panel shows, before the alert. */
  window_s: number
  /** Where the panel begins instead. */
  panel_from_ms?: number
  series: Partial<Series & { project: string; agent: string }>
  evidence: string
  /** Heading in the runbook; default: the rule's name, or its figure's. */
  heading: string
  /** Traces to find, or those known already. */
  traces: { order: (typeof ORDERS)[number] } | readonly string[]
}

/** Cut, and never in the middle of a character: half of one is no text to a database. */
const cut = (text: string, max: number): string => text.slice(0, max).toWellFormed()

/** Control characters would break lines of whoever prints them. */
export const plain = (text: string, max = TEXT_MAX): string =>
  cut(text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+/g, ' '), max)

/** Labels of an alert: those of the rule, then what it is about; empty ones are left out. */
export function labelsOf(rule: Rule, more: Readonly<Record<string, string>>): Record<string, string> {
  const all = { ...rule.labels, ...more, alertname: rule.name, severity: rule.severity, kind: rule.kind }
  return Object.fromEntries(
    Object.entries(all)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => [name, plain(value, LABEL_MAX)]),
  )
}

/** Panel: an hour before the window and up to now, so that what was usual is on it. */
const PANEL_BEFORE_MS = 3_600_000

async function annotate(rule: Rule, look: Look, shown: Shown): Promise<Annotations> {
  const { series, window_s, traces } = shown
  const from_ms = look.to_ms - window_s * 1000
  const found =
    'order' in traces
      ? // An example more or less must not keep anybody asleep.
        await readTraces(look.reader, { ...series, from_ms, to_ms: look.to_ms, order: traces.order }).catch(
          () => [],
        )
      : traces.slice(0, 3).map((trace_id) => ({ trace_id, span_id: '' }))
  const [worst] = found
  const { server = '', tool = '', team = '', caller = '', project = '', agent = '' } = series
  const panel = consoleUrl(shown.view, {
    from: shown.panel_from_ms ?? from_ms - PANEL_BEFORE_MS,
    to: look.now_ms,
    server,
    tool,
    team,
    caller,
    project,
    agent,
  })
  return {
    summary: plain(shown.summary, 500),
    panel: absolute(look.console_url, panel),
    runbook: rule.runbook || runbookUrl(look.runbook_url, shown.heading),
    evidence: cut(shown.evidence, TEXT_MAX),
    ...(worst
      ? {
          traces: found.map(({ trace_id }) => plain(trace_id, 100)).join(' '),
          trace: absolute(
            look.console_url,
            consoleUrl('trace', { id: plain(worst.trace_id, 100), span: worst.span_id }),
          ),
        }
      : {}),
  }
}

export const sampleOf = (
  rule: Rule,
  look: Look,
  seen: Sample['seen'],
  value: number,
  labels: Readonly<Record<string, string>>,
  shown: () => Shown,
): Sample => ({
  rule: rule.name,
  severity: rule.severity,
  labels: labelsOf(rule, labels),
  seen,
  value,
  annotate: () => annotate(rule, look, shown()),
})

/** 1234.5678 as 1,235; small numbers keep three digits. */
export function figureText(value: number): string {
  if (!Number.isFinite(value)) return 'unknown'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(3)))
}

export function secondsText(s: number): string {
  for (const [size, unit] of [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
  ] as const)
    if (s >= size && s % size === 0) return `${s / size} ${unit}`
  return `${s} s`
}
