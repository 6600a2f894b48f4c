/**
 * Counters and histograms bumped in place on the call path, rendered as Prometheus text when asked.
 * Snapshots of several processes merge by addition, so one scrape shows the whole installation.
 * Label sets are bounded: beyond SERIES_MAX of one metric, calls are counted under `other`.
 */
import { METRICS, type MetricName, type MetricSpec } from '../../event/proxy-metrics.ts'

const SERIES_MAX = 2000

/** One time series. `buckets` is empty for counters and gauges. */
export type Series = { labels: string; value: number; count: number; buckets: number[] }
export type Snapshot = { [metric: string]: Series[] }

const escapeLabel = (value: string): string =>
  value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')

/** `{a="x",b="y"}` of the values, in the order of the metric's label names; '' when it has none. */
const labelText = (names: readonly string[], values: readonly string[]): string =>
  names.length === 0 ? '' : `{${names.map((n, i) => `${n}="${escapeLabel(values[i] ?? '')}"`).join(',')}}`

export class Metrics {
  readonly #series = new Map<MetricName, Map<string, Series>>()

  /** The series of a metric for these label values (in the order of its label names). Keep it where it is bumped often. */
  series(metric: MetricName, values: readonly string[] = []): Series {
    let all = this.#series.get(metric)
    if (!all) this.#series.set(metric, (all = new Map()))
    const key = values.join('\u0001')
    let one = all.get(key)
    if (one) return one
    const spec: MetricSpec = METRICS[metric]
    if (all.size >= SERIES_MAX && values.length > 0) {
      const other = spec.labels.map(() => 'other')
      if (values.some((v) => v !== 'other')) return this.series(metric, other)
    }
    one = {
      labels: labelText(spec.labels, values),
      value: 0,
      count: 0,
      buckets: spec.buckets ? spec.buckets.map(() => 0) : [],
    }
    all.set(key, one)
    return one
  }

  add(metric: MetricName, amount = 1, values: readonly string[] = []): void {
    this.series(metric, values).value += amount
  }

  set(metric: MetricName, value: number, values: readonly string[] = []): void {
    this.series(metric, values).value = value
  }

  snapshot(): Snapshot {
    return Object.fromEntries([...this.#series].map(([name, all]) => [name, [...all.values()]]))
  }
}

/** Counts one observation in a histogram series. */
export function observe(series: Series, bounds: readonly number[], value: number): void {
  series.count++
  series.value += value
  for (let i = 0; i < bounds.length; i++)
    if (value <= bounds[i]!) {
      series.buckets[i]!++
      return
    }
}

/** Adds snapshots up: equal series of several processes become one. Gauges that must stay apart carry a worker label. */
export function mergeSnapshots(snapshots: readonly Snapshot[]): Snapshot {
  const merged: Record<string, Map<string, Series>> = {}
  for (const snapshot of snapshots)
    for (const [name, all] of Object.entries(snapshot)) {
      const into = (merged[name] ??= new Map())
      for (const s of all) {
        const known = into.get(s.labels)
        if (!known) into.set(s.labels, { ...s, buckets: [...s.buckets] })
        else {
          known.value += s.value
          known.count += s.count
          s.buckets.forEach((n, i) => {
            known.buckets[i] = (known.buckets[i] ?? 0) + n
          })
        }
      }
    }
  return Object.fromEntries(Object.entries(merged).map(([name, all]) => [name, [...all.values()]]))
}

const withLabel = (labels: string, extra: string): string =>
  labels === '' ? `{${extra}}` : `${labels.slice(0, -1)},${extra}}`

/** Prometheus text exposition format 0.0.4. */
export function renderPrometheus(snapshot: Snapshot): string {
  const lines: string[] = []
  for (const [name, all] of Object.entries(snapshot)) {
    const spec: MetricSpec | undefined = METRICS[name as MetricName]
    if (!spec) continue
    lines.push(`# HELP ${name} ${spec.help}`, `# TYPE ${name} ${spec.type}`)
    for (const s of all) {
      if (spec.type !== 'histogram') {
        lines.push(`${name}${s.labels} ${s.value}`)
        continue
      }
      let sum = 0
      spec.buckets!.forEach((bound, i) => {
        sum += s.buckets[i]!
        lines.push(`${name}_bucket${withLabel(s.labels, `le="${bound}"`)} ${sum}`)
      })
      lines.push(
        `${name}_bucket${withLabel(s.labels, 'le="+Inf"')} ${s.count}`,
        `${name}_sum${s.labels} ${s.value}`,
        `${name}_count${s.labels} ${s.count}`,
      )
    }
  }
  return `${lines.join('\n')}\n`
}
