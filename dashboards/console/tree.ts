/** Spans as a tree in the order they began: what a waterfall draws. Pure. */
import type { TraceSpan } from '../../collector/queries/trace.ts'

export type Node = { readonly span: TraceSpan; readonly depth: number; readonly children: number }

/** Depth first. A span whose parent is not among them is a root; a parent that is its own descendant too. */
export function treeOf(spans: readonly TraceSpan[]): Node[] {
  const known = new Set(spans.map((s) => s.span_id))
  const below = new Map<string, TraceSpan[]>()
  for (const span of spans) {
    const parent =
      known.has(span.parent_span_id) && span.parent_span_id !== span.span_id ? span.parent_span_id : ''
    const list = below.get(parent)
    if (list) list.push(span)
    else below.set(parent, [span])
  }
  const nodes: Node[] = []
  const seen = new Set<TraceSpan>()
  const visit = (first: TraceSpan): void => {
    // By hand: a trace may be thousands of spans deep.
    const waiting: { span: TraceSpan; depth: number }[] = [{ span: first, depth: 0 }]
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const { span, depth } = next
      if (seen.has(span)) continue
      seen.add(span)
      const children = below.get(span.span_id) ?? []
      nodes.push({ span, depth, children: children.length })
      for (const child of children.toReversed()) waiting.push({ span: child, depth: depth + 1 })
    }
  }
  for (const root of below.get('') ?? []) visit(root)
  for (const span of spans) if (!seen.has(span)) visit(span)
  return nodes
}

/** Rows in the order of a tree, without what lies below a folded one. */
export function unfolded<Row extends { readonly depth: number }>(
  rows: readonly Row[],
  isFolded: (row: Row) => boolean,
): Row[] {
  const shown: Row[] = []
  let hidden_below = Number.POSITIVE_INFINITY
  for (const row of rows) {
    if (row.depth > hidden_below) continue
    hidden_below = Number.POSITIVE_INFINITY
    shown.push(row)
    if (isFolded(row)) hidden_below = row.depth
  }
  return shown
}
