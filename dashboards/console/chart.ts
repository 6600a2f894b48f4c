/**
 * Charts over time, drawn by uPlot: lines, bars, stacked areas and bars. Each comes with a legend that follows the pointer and with its
 * figures as a table, for whoever does not see the picture. Dragging over a chart chooses that time for the whole page.
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { html } from './html.ts'
import { type Palette, readPalette, useThemeVersion } from './palette.ts'
import { go, here } from './route.ts'
import { clock } from './time.ts'

export type Series = {
  name: string
  /** Null where there is nothing: the line breaks. */
  values: readonly (number | null)[]
  /** Name of a colour of the style sheet: c1 … c8, good, warn, bad. */
  color: string
  dash?: boolean
}

export type Mark = {
  t_ms: number
  text: string
  /** Name of a colour of the style sheet. */
  color: string
  href: string
}

export type ChartProps = {
  /** What is drawn, in a sentence: the text alternative. */
  label: string
  /** Starts of the steps, milliseconds. */
  t: readonly number[]
  series: readonly Series[]
  format(value: number): string
  kind?: 'line' | 'bars' | 'stacked' | 'stacked-bars'
  height?: number
  /** Ends of the time axis, milliseconds. */
  from_ms?: number
  to_ms?: number
  /** Moments of note, drawn as lines. */
  marks?: readonly Mark[]
  /** Charts with the same word show the same moment under the pointer. */
  sync?: string
}

const FONT = '11px system-ui, sans-serif'
const POINTS_TOLD = 400

const two = (n: number): string => String(n).padStart(2, '0')
/** Local time, the date below where a day begins and at the first mark. */
export function timeMarks(splits: readonly number[], step_s: number): string[] {
  let day = ''
  return splits.map((s) => {
    const d = new Date(s * 1000)
    const date = `${two(d.getMonth() + 1)}-${two(d.getDate())}`
    const isNew = date !== day
    day = date
    if (step_s >= 86_400) return date
    const time = `${two(d.getHours())}:${two(d.getMinutes())}${step_s < 60 ? `:${two(d.getSeconds())}` : ''}`
    return isNew ? `${time}\n${date}` : time
  })
}

/** Upper edges of stacked areas, in drawing order: the highest first, so that lower ones are painted over it. */
function stacked(series: readonly Series[]): Series[] {
  const edges: Series[] = []
  let below: number[] = []
  for (const one of series) {
    below = one.values.map((value, i) => (below[i] ?? 0) + (value ?? 0))
    edges.unshift({ ...one, values: below })
  }
  return edges
}

function axis(palette: Palette, more: uPlot.Axis): uPlot.Axis {
  return {
    stroke: palette.muted,
    font: FONT,
    grid: { stroke: palette.grid, width: 1 },
    ticks: { show: false },
    ...more,
  }
}

/** A line from top to bottom with a head, so that it is no grid line. */
function drawMarks(u: uPlot, palette: Palette, marks: readonly Mark[]): void {
  const { ctx, bbox } = u
  const ratio = devicePixelRatio
  ctx.save()
  for (const { t_ms, color } of marks) {
    const x = u.valToPos(t_ms / 1000, 'x', true)
    if (x < bbox.left || x > bbox.left + bbox.width) continue
    ctx.strokeStyle = ctx.fillStyle = palette.of(color)
    ctx.lineWidth = ratio
    ctx.setLineDash([3 * ratio, 3 * ratio])
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
    ctx.beginPath()
    ctx.moveTo(x - 4 * ratio, bbox.top)
    ctx.lineTo(x + 4 * ratio, bbox.top)
    ctx.lineTo(x, bbox.top + 6 * ratio)
    ctx.fill()
  }
  ctx.restore()
}

/** A value between two steps without one has no line: it is drawn as a point. */
function alone(values: readonly (number | null)[]): uPlot.Series.Points {
  const isValue = (i: number): boolean => (values[i] ?? null) !== null
  const lone = values.flatMap((_, i) => (isValue(i) && !isValue(i - 1) && !isValue(i + 1) ? [i] : []))
  return { show: lone.length > 0, size: 4, filter: () => lone }
}

function options(
  props: ChartProps,
  drawn: readonly Series[],
  onCursor: (index: number | null) => void,
): Omit<uPlot.Options, 'width'> {
  const palette = readPalette()
  const { kind = 'line', format } = props
  const isBars = kind === 'bars' || kind === 'stacked-bars'
  return {
    height: props.height ?? 180,
    legend: { show: false },
    cursor: {
      y: false,
      points: { size: 6 },
      drag: { x: true, y: false, setScale: false },
      ...(props.sync ? { sync: { key: props.sync } } : {}),
    },
    scales: {
      x: {
        time: true,
        range: (_u, min, max) => [
          props.from_ms === undefined ? min : props.from_ms / 1000,
          props.to_ms === undefined ? max : props.to_ms / 1000,
        ],
      },
      y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      axis(palette, { size: 36, space: 70, values: (_u, splits, _i, _s, step) => timeMarks(splits, step) }),
      axis(palette, { size: 56, space: 34, values: (_u, splits) => splits.map((v) => format(v)) }),
    ],
    series: [
      {},
      ...drawn.map((one): uPlot.Series => {
        const stroke = palette.of(one.color)
        return {
          label: one.name,
          stroke,
          width: isBars ? 0 : 1.5,
          ...(one.dash ? { dash: [5, 4] } : {}),
          ...(kind === 'line' ? {} : { fill: kind === 'bars' ? `${stroke}cc` : stroke }),
          ...(isBars ? { paths: uPlot.paths.bars!({ size: [0.8, 24], align: 1 }) } : {}),
          points: kind === 'line' ? alone(one.values) : { show: false },
          spanGaps: false,
        }
      }),
    ],
    hooks: {
      draw: [(u) => drawMarks(u, palette, props.marks ?? [])],
      setCursor: [(u) => onCursor(u.cursor.idx ?? null)],
      setSelect: [
        (u) => {
          if (u.select.width < 8) return
          const at = (px: number): string => String(Math.round(u.posToVal(px, 'x') * 1000))
          go(here({ from: at(u.select.left), to: at(u.select.left + u.select.width), range: null }))
        },
      ],
    },
  }
}

export function TimeSeries(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [at, setAt] = useState<number | null>(null)
  const version = useThemeVersion()
  const drawn = props.kind?.startsWith('stacked') ? stacked(props.series) : props.series
  const shape = `${version} ${props.kind} ${props.height} ${props.series.map((s) => `${s.name}/${s.color}`).join()}`
  const edges = useRef(props)
  edges.current = props
  const data = [props.t.map((ms) => ms / 1000), ...drawn.map((s) => s.values)] as unknown as uPlot.AlignedData
  useEffect(() => {
    const element = box.current!
    // The options read the newest props through the reference: the plot lives longer than one of them.
    const live = new Proxy(props, { get: (_target, name) => Reflect.get(edges.current, name) })
    const made = new uPlot(
      { ...options(live, drawn, setAt), width: Math.max(200, element.clientWidth) },
      data,
      element,
    )
    plot.current = made
    const watcher = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: made.height })
    })
    watcher.observe(element)
    return () => {
      watcher.disconnect()
      made.destroy()
    }
  }, [shape])
  useEffect(
    () => plot.current?.setData(data),
    [props.t, props.series, props.from_ms, props.to_ms, props.marks],
  )
  return html`<figure class="chart">
    <${Legend} ...${props} at=${at} />
    <div ref=${box} class="plot" role="img" aria-label=${`${props.label}. ${summary(props)}`}></div>
    <${Figures} ...${props} />
  </figure>`
}

/** The text alternative: where it stands, and where it stood highest. */
function summary({ series, t, format }: ChartProps): string {
  if (t.length === 0) return 'No figures in this time.'
  return series
    .map(({ name, values }) => {
      const known = values.filter((v) => v !== null)
      return known.length === 0
        ? `${name}: none`
        : `${name}: last ${format(known.at(-1)!)}, highest ${format(Math.max(...known))}`
    })
    .join('; ')
}

function Legend({ series, t, format, at }: ChartProps & { at: number | null }) {
  return html`<div class="legend" aria-hidden="true">
    ${series.map((s) => {
      const value = at === null ? null : (s.values[at] ?? null)
      return html`<span class="key" key=${s.name}><i class=${`swatch ${s.color}`}></i>${s.name}${value !== null && html` <b>${format(value)}</b>`}</span>`
    })}
    ${at !== null && t[at] !== undefined && html`<span class="key at">${clock(t[at])}</span>`}
  </div>`
}

/** Only made when opened: most never are. */
function Figures({ t, series, format, label }: ChartProps) {
  const [isOpen, setOpen] = useState(false)
  const rows = useMemo(() => (isOpen ? t.slice(-POINTS_TOLD) : []), [isOpen, t])
  const skipped = t.length - rows.length
  return html`<details class="figures" onToggle=${(e: Event) => setOpen((e.target as HTMLDetailsElement).open)}>
    <summary>Figures</summary>
    ${
      isOpen &&
      html`<div class="table-box" tabindex="0" role="region" aria-label=${`${label}, figures`}><table>
      <thead><tr><th scope="col">Time</th>${series.map((s) => html`<th scope="col" class="number">${s.name}</th>`)}</tr></thead>
      <tbody>${rows.map((ms, i) => html`<tr><th scope="row">${clock(ms)}</th>${series.map((s) => html`<td class="number">${s.values[i + skipped] === null || s.values[i + skipped] === undefined ? '–' : format(s.values[i + skipped]!)}</td>`)}</tr>`)}</tbody>
    </table></div>`
    }
  </details>`
}

/** A line without axes, for a cell of a table. */
export function Spark({ values, label }: { values: readonly number[]; label: string }) {
  const top = Math.max(...values, 1)
  const step = values.length > 1 ? 96 / (values.length - 1) : 96
  const points = values.map((v, i) => `${(2 + i * step).toFixed(1)},${(20 - (v / top) * 17).toFixed(1)}`)
  return html`<svg class="spark" viewBox="0 0 100 22" preserveAspectRatio="none" role="img" aria-label=${label}>
    <polyline points=${points.join(' ')} vector-effect="non-scaling-stroke" />
  </svg>`
}
