/** Moments of note on charts over calls: a config taken over, a tool whose definition changed, something unusual. */
import type { AnnotationRow } from '../../collector/queries/annotations.ts'
import type { AnomalyRow } from '../../collector/queries/anomalies.ts'
import type { ToolChange } from '../../collector/queries/tool-changes.ts'
import { useAnswer } from './answer.ts'
import type { Mark } from './chart.ts'
import { html } from './html.ts'
import { to } from './route.ts'
import type { ViewScope } from './scope.ts'
import { clock, momentMs } from './time.ts'

/** More lines than this hide the chart. */
const MARKS_MAX = 30
const CHANGES_MAX = 10

/** In the order they happened; of one server and what is about all, when the view is narrowed to one. */
export function useMarks({ params, key }: ViewScope): Mark[] {
  const { from, to: until, server = '' } = params
  const asked = { from, to: until, server }
  const notes = useAnswer<AnnotationRow[]>('annotations', asked, key)
  const changes = useAnswer<ToolChange[]>('tool-changes', { ...asked, limit: CHANGES_MAX }, key)
  const findings = useAnswer<AnomalyRow[]>('anomalies', { ...asked, limit: MARKS_MAX }, key)
  const marks = [
    ...(notes.rows ?? []).map(
      (n): Mark => ({
        t_ms: n.at_ms,
        text: [n.title, n.detail].filter(Boolean).join(': '),
        color: 'c8',
        href: '',
      }),
    ),
    ...(changes.rows ?? []).map(
      (c): Mark => ({
        t_ms: momentMs(c.ts),
        text: `definition of ${c.server}/${c.tool} changed, version ${c.version}`,
        color: 'c5',
        href: '',
      }),
    ),
    ...(findings.rows ?? []).map(
      (f): Mark => ({
        t_ms: momentMs(f.started),
        text: f.summary || `${f.kind} of ${f.series}`,
        color: 'bad',
        href: to('/alerts', { show: 'findings', finding: f.id }),
      }),
    ),
  ]
  const [begin, end] = [Number(from), Number(until)]
  return marks
    .filter(({ t_ms }) => t_ms >= begin && t_ms <= end)
    .sort((a, b) => a.t_ms - b.t_ms)
    .slice(-MARKS_MAX)
}

/** The marks in words, for whoever does not see the picture. */
export function MarkList({ marks }: { marks: readonly Mark[] }) {
  if (marks.length === 0) return null
  return html`<details class="figures"><summary>${marks.length} ${marks.length === 1 ? 'mark' : 'marks'}</summary>
    <ul class="sentences">${marks.map(
      (m, i) =>
        html`<li key=${i}><i class=${`swatch ${m.color}`} aria-hidden="true"></i>${clock(m.t_ms)} ${m.href ? html`<a href=${m.href}>${m.text}</a>` : m.text}</li>`,
    )}</ul></details>`
}
