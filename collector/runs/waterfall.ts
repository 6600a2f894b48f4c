/**
 * Steps, their upstream messages and the spans of others as one tree on one time axis. Pure. Parents are a stranger's word:
 * one that is not there, or a circle, makes a root; nothing is left out or comes twice.
 */
import { type ForeignSpan, nameOf, type Step } from './step.ts'

export type Item = {
  trace_id: string
  span_id: string
  parent_span_id: string
  /** `call`: a step; `upstream`: the message of a step to its server; `foreign`: a span of somebody else. */
  what: 'call' | 'upstream' | 'foreign'
  name: string
  service: string
  start_us: number
  duration_us: number
  failed: boolean
  /** Index of the step a call or upstream message belongs to, -1 for spans of others. */
  step: number
  /** Roots have 0. */
  depth: number
  attributes: Record<string, string>
}

const fromStep = (step: Step, i: number): Item[] => {
  const { trace_id, failed } = step
  const call: Item = {
    trace_id,
    span_id: step.span_id,
    parent_span_id: step.parent_span_id,
    what: 'call',
    name: step.tool === '' ? step.method : `${step.method} ${step.tool}`,
    service: 'weir',
    start_us: step.start_us,
    duration_us: step.duration_us,
    failed,
    step: i,
    depth: 0,
    attributes: {},
  }
  if (step.client_span_id === '') return [call]
  const upstream: Item = {
    ...call,
    span_id: step.client_span_id,
    parent_span_id: step.span_id,
    what: 'upstream',
    name: nameOf(step),
    start_us: step.upstream_start_us,
    duration_us: step.upstream_us,
  }
  return [call, upstream]
}

const fromForeign = (span: ForeignSpan): Item => ({
  trace_id: span.trace_id,
  span_id: span.span_id,
  parent_span_id: span.parent_span_id,
  what: 'foreign',
  name: span.name,
  service: span.service,
  start_us: span.start_us,
  duration_us: span.duration_us,
  failed: span.status === 'Error',
  step: -1,
  depth: 0,
  attributes: span.attributes,
})

/** In the order a tree is read: each item after its parent, siblings by their start. */
export function waterfallOf(steps: readonly Step[], foreign: readonly ForeignSpan[]): Item[] {
  const items = [...steps.flatMap(fromStep), ...foreign.map(fromForeign)]
  items.sort(
    (a, b) => a.start_us - b.start_us || Number(a.what === 'upstream') - Number(b.what === 'upstream'),
  )
  const bySpan = new Map<string, Item>()
  for (const item of items) {
    const key = `${item.trace_id}\n${item.span_id}`
    if (!bySpan.has(key)) bySpan.set(key, item)
  }
  const children = new Map<Item, Item[]>()
  const above = new Map<Item, Item>()
  const roots: Item[] = []
  for (const item of items) {
    const parent = bySpan.get(`${item.trace_id}\n${item.parent_span_id}`)
    let isCircle = parent === item
    for (let at = parent; at && !isCircle; at = above.get(at)) isCircle = at === item
    if (!parent || isCircle) roots.push(item)
    else {
      above.set(item, parent)
      children.set(parent, [...(children.get(parent) ?? []), item])
    }
  }
  const ordered: Item[] = []
  const stack = roots.toReversed()
  for (let item = stack.pop(); item; item = stack.pop()) {
    const depth = above.has(item) ? above.get(item)!.depth + 1 : 0
    item.depth = depth
    ordered.push(item)
    stack.push(...(children.get(item) ?? []).toReversed())
  }
  return ordered
}

/** Depth of every step among the steps alone: how many steps, or spans of others, it was made within. */
export function depthsOf(items: readonly Item[], steps: number): number[] {
  const depths = new Array<number>(steps).fill(0)
  for (const item of items) if (item.what === 'call') depths[item.step] = item.depth
  return depths
}
