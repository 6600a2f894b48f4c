import { expect, test } from 'vitest'
import { METRICS } from '../../../event/proxy-metrics.ts'
import { Metrics, mergeSnapshots, observe, renderPrometheus } from '../../../proxy/telemetry/metrics.ts'

type Sample = { name: string; labels: Record<string, string>; value: number }
type Family = { name: string; help: string; type: string; samples: Sample[] }

/** Reads text exposition format 0.0.4 and refuses everything that is not exactly that. */
function parseExposition(text: string): Family[] {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const families: Family[] = []
  const seen = new Set<string>()
  for (const line of text.slice(0, -1).split('\n')) {
    const current = families.at(-1)
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    if (help) {
      if (families.some((f) => f.name === help[1])) throw new Error(`${help[1]} comes twice`)
      families.push({ name: help[1]!, help: help[2]!, type: '', samples: [] })
      continue
    }
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/.exec(line)
    if (type) {
      if (current?.name !== type[1] || current?.type !== '') throw new Error(`TYPE out of place: ${line}`)
      current!.type = type[2]!
      continue
    }
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN|[+-]Inf)$/.exec(line)
    if (!sample || !current) throw new Error(`not a sample: ${JSON.stringify(line)}`)
    const [, name, list, value] = sample
    const allowed =
      current.type === 'histogram'
        ? ['_bucket', '_sum', '_count'].map((s) => current.name + s)
        : [current.name]
    if (!allowed.includes(name!)) throw new Error(`${name} stands under ${current.name}`)
    const labels: Record<string, string> = {}
    let rest = list ?? ''
    while (rest !== '') {
      const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)/.exec(rest)
      if (!label) throw new Error(`not a label: ${rest}`)
      if (label[1]! in labels) throw new Error(`label twice: ${label[1]}`)
      labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))
      rest = rest.slice(label[0].length)
    }
    const key = `${name}${JSON.stringify(Object.entries(labels).sort())}`
    if (seen.has(key)) throw new Error(`sample twice: ${line}`)
    seen.add(key)
    current.samples.push({
      name: name!,
      labels,
      value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value),
    })
  }
  return families
}

const BOUNDS = METRICS.mcp_server_operation_duration_seconds.buckets
const labelsOf = (tool: string): string[] => ['tools/call', tool, 'server', 'ok', '', '2025-11-25']

test('the rendering is valid, with label values of every kind', () => {
  const metrics = new Metrics()
  const tools = ['plain', 'quote"d', 'back\\slash', 'line\nbreak', 'brace}', 'comma,=', 'ünïcode ✓', '']
  for (const tool of tools)
    observe(metrics.series('mcp_server_operation_duration_seconds', labelsOf(tool)), BOUNDS, 0.015)
  metrics.add('weir_events_lost_total', 3, ['disk_full'])
  metrics.set('weir_events_written_total', 1e21)
  metrics.set('weir_spool_bytes', 0.000001)
  const families = parseExposition(renderPrometheus(metrics.snapshot()))
  const histogram = families.find((f) => f.name === 'mcp_server_operation_duration_seconds')!
  expect(histogram.type).toBe('histogram')
  expect(new Set(histogram.samples.map((s) => s.labels.gen_ai_tool_name))).toEqual(new Set(tools))
  expect(families.find((f) => f.name === 'weir_events_written_total')!.samples[0]!.value).toBe(1e21)
})

test('buckets are cumulative, the last is +Inf and equals the count, the sum is the sum', () => {
  const metrics = new Metrics()
  const series = metrics.series('mcp_server_operation_duration_seconds', labelsOf('t'))
  const values = [0, 0.01, 0.0100001, 0.3, 299, 300, 301, 5000]
  for (const value of values) observe(series, BOUNDS, value)
  const [family] = parseExposition(renderPrometheus(metrics.snapshot()))
  const buckets = family!.samples.filter((s) => s.name.endsWith('_bucket'))
  expect(buckets.map((b) => b.labels.le)).toEqual([...BOUNDS.map(String), '+Inf'])
  for (const { labels, value } of buckets)
    expect(value, labels.le).toBe(
      values.filter((v) => v <= (labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le))).length,
    )
  expect(family!.samples.find((s) => s.name.endsWith('_count'))!.value).toBe(values.length)
  expect(family!.samples.find((s) => s.name.endsWith('_sum'))!.value).toBeCloseTo(
    values.reduce((a, b) => a + b),
  )
})

test('the number of series is bounded, and nothing is lost beyond the bound', () => {
  const metrics = new Metrics()
  for (let i = 0; i < 5000; i++) metrics.add('weir_http_requests_total', 1, [`kind-${i}`, '200'])
  const [family] = parseExposition(renderPrometheus(metrics.snapshot()))
  expect(family!.samples.length).toBeLessThanOrEqual(2001)
  expect(family!.samples.reduce((sum, s) => sum + s.value, 0)).toBe(5000)
  expect(family!.samples.find((s) => s.labels.kind === 'other')!.value).toBeGreaterThan(2900)
})

test('snapshots of several processes add up, and the parts stay as they were', () => {
  const one = new Metrics()
  const two = new Metrics()
  for (const [metrics, times] of [
    [one, 2],
    [two, 3],
  ] as const) {
    for (let i = 0; i < times; i++)
      observe(metrics.series('mcp_server_operation_duration_seconds', labelsOf('t')), BOUNDS, 0.015)
    metrics.add('weir_events_lost_total', times, ['spool_full'])
  }
  two.set('weir_calls_open', 7, ['w2'])
  const parts = [one.snapshot(), two.snapshot()]
  const before = JSON.stringify(parts)
  const merged = mergeSnapshots(parts)
  expect(JSON.stringify(parts)).toBe(before)
  const families = parseExposition(renderPrometheus(merged))
  const value = (name: string): number =>
    families.flatMap((f) => f.samples).find((s) => s.name === name)!.value
  expect(value('mcp_server_operation_duration_seconds_count')).toBe(5)
  expect(value('weir_events_lost_total')).toBe(5)
  expect(value('weir_calls_open')).toBe(7)
})

test('every metric has a help text and label names Prometheus takes', () => {
  for (const [name, spec] of Object.entries(METRICS)) {
    expect(name).toMatch(/^[a-z_:][a-z0-9_:]*$/)
    expect(spec.help.length).toBeGreaterThan(5)
    expect(spec.help).not.toMatch(/[\n\\]/)
    for (const label of spec.labels) expect(label).toMatch(/^(?!__|le$)[a-z_][a-z0-9_]*$/)
    if (spec.type === 'counter') expect(name).toMatch(/_total$/)
  }
})
