/** How latency spreads over time: columns are steps, rows are buckets of the histogram, darkness is the number of calls. */
import { useEffect, useMemo, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { timeMarks } from './chart.ts'
import { duration } from './format.ts'
import { html } from './html.ts'
import { readPalette, useThemeVersion } from './palette.ts'

/** Bucket i counts durations in (2^(i/8), 2^((i+1)/8)] microseconds. */
export type HeatCell = { t_ms: number; bucket: number; calls: number }
/** Buckets in a row of the picture: a quarter of an octave is as fine as an eye compares. */
const ROW = 2

type HeatProps = {
  label: string
  cells: readonly HeatCell[]
  from_ms: number
  to_ms: number
  step_ms: number
}

const lower = (bucket: number): number => 2 ** (bucket / 8)

function joined(cells: readonly HeatCell[]): HeatCell[] {
  const rows = new Map<string, HeatCell>()
  for (const { t_ms, bucket, calls } of cells) {
    const low = Math.floor(bucket / ROW) * ROW
    const key = `${t_ms} ${low}`
    rows.set(key, { t_ms, bucket: low, calls: calls + (rows.get(key)?.calls ?? 0) })
  }
  return [...rows.values()]
}

export function Heatmap(props: HeatProps) {
  const { step_ms } = props
  const cells = useMemo(() => joined(props.cells), [props.cells])
  const box = useRef<HTMLDivElement>(null)
  const version = useThemeVersion()
  const buckets = cells.map((c) => c.bucket)
  const low = Math.min(...buckets) - ROW
  const high = Math.max(...buckets) + 2 * ROW
  const busiest = Math.max(...cells.map((c) => c.calls))
  useEffect(() => {
    const element = box.current!
    const palette = readPalette()
    const paint = (u: uPlot): void => {
      const { ctx } = u
      ctx.save()
      for (const cell of cells) {
        const left = u.valToPos(cell.t_ms / 1000, 'x', true)
        const right = u.valToPos((cell.t_ms + step_ms) / 1000, 'x', true)
        const bottom = u.valToPos(cell.bucket, 'y', true)
        const top = u.valToPos(cell.bucket + ROW, 'y', true)
        // By the logarithm: one slow call must stay visible beside ten thousand quick ones.
        ctx.globalAlpha = 0.18 + 0.82 * (Math.log1p(cell.calls) / Math.log1p(busiest))
        ctx.fillStyle = palette.of('c1')
        ctx.fillRect(left, top, Math.max(1, right - left - 0.5), Math.max(1, bottom - top - 0.5))
      }
      ctx.restore()
    }
    const axis = { stroke: palette.muted, font: '11px system-ui, sans-serif', ticks: { show: false } }
    const plot = new uPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: 190,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: true, range: () => [props.from_ms / 1000, props.to_ms / 1000] },
          y: { range: () => [low, high] },
        },
        axes: [
          {
            ...axis,
            size: 36,
            space: 70,
            grid: { show: false },
            values: (_u, splits, _i, _s, step) => timeMarks(splits, step),
          },
          {
            ...axis,
            size: 56,
            space: 28,
            grid: { stroke: palette.grid, width: 1 },
            values: (_u, splits) => splits.map((v) => duration(lower(v))),
          },
        ],
        series: [{}, { stroke: 'transparent', points: { show: false } }],
        hooks: { draw: [paint] },
      },
      [
        [props.from_ms / 1000, props.to_ms / 1000],
        [low, high],
      ],
      element,
    )
    const watcher = new ResizeObserver(() =>
      plot.setSize({ width: Math.max(200, element.clientWidth), height: 190 }),
    )
    watcher.observe(element)
    return () => {
      watcher.disconnect()
      plot.destroy()
    }
  }, [version, cells, props.from_ms, props.to_ms])
  return html`<figure class="chart">
    <div ref=${box} class="plot" role="img" aria-label=${`${props.label}. ${summary(props.cells)}`}></div>
  </figure>`
}

function summary(cells: readonly HeatCell[]): string {
  const byBucket = new Map<number, number>()
  for (const { bucket, calls } of cells) byBucket.set(bucket, (byBucket.get(bucket) ?? 0) + calls)
  const [most] = [...byBucket].sort((a, b) => b[1] - a[1])
  const slowest = Math.max(...byBucket.keys())
  return most
    ? `Most calls take about ${duration(lower(most[0] + 0.5))}; the slowest up to ${duration(lower(slowest + 1))}.`
    : ''
}
