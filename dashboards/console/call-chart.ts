/** Calls over time, those that failed at the bottom: the chart that Overview and a tool's page share. */
import { type Mark, TimeSeries } from './chart.ts'
import { pace, plain } from './format.ts'
import { html } from './html.ts'
import type { Steps } from './steps.ts'

export function CallChart(props: {
  steps: Steps
  from_ms: number
  to_ms: number
  sync: string
  marks?: readonly Mark[]
}) {
  const { steps } = props
  const { unit, times } = pace(steps.of((r) => r.calls / steps.step_s, 0))
  const scaled = times / steps.step_s
  return html`<${TimeSeries} t=${steps.t} from_ms=${props.from_ms} to_ms=${props.to_ms} sync=${props.sync} marks=${props.marks} kind="stacked" label=${`Calls ${unit}`} format=${plain} series=${[
    { name: `failed ${unit}`, color: 'bad', values: steps.of((r) => r.failed * scaled, 0) },
    { name: `fine ${unit}`, color: 'c1', values: steps.of((r) => (r.calls - r.failed) * scaled, 0) },
  ]} />`
}
