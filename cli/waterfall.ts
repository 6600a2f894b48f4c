/**
 * Spans as a tree with bars on one time axis, and Weir's phases under its own spans. Pure: spans in, lines out.
 */

import type { Phase, TraceSpan } from '../collector/queries/trace.ts'
import type { TraceCall } from '../collector/queries/trace-calls.ts'
import { clean, cut, duration, pad, type Screen, type Style, share } from './terminal.ts'

export type Node = { readonly span: TraceSpan; readonly children: Node[]; readonly isOrphan: boolean }

/** Roots in the order they started. A span whose parent is not in the trace is a root; no span is left out or comes twice. */
export function treeOf(spans: readonly TraceSpan[]): Node[] {
  const nodes = new Map<string, Node>()
  const all: Node[] = []
  const ids = new Set(spans.map((s) => s.span_id))
  for (const span of spans) {
    const node = { span, children: [], isOrphan: span.parent_span_id !== '' && !ids.has(span.parent_span_id) }
    all.push(node)
    if (!nodes.has(span.span_id)) nodes.set(span.span_id, node)
  }
  const roots: Node[] = []
  const above = new Map<Node, Node>()
  for (const node of all) {
    const parent = nodes.get(node.span.parent_span_id)
    // Ids are a stranger's word: parents may go in a circle.
    let isCircle = parent === node
    for (let at = parent; at && !isCircle; at = above.get(at)) isCircle = at === node
    if (!parent || isCircle) roots.push(node)
    else {
      above.set(node, parent)
      parent.children.push(node)
    }
  }
  return roots
}

type Line = { readonly node: Node; readonly prefix: string; readonly below: string }

/** Depth first, without recursion: strangers decide how deep it goes. */
function* walk(roots: readonly Node[]): Generator<Line> {
  const stack: { node: Node; indent: string; isLast: boolean; isRoot: boolean }[] = []
  const push = (nodes: readonly Node[], indent: string, isRoot: boolean): void => {
    for (let i = nodes.length - 1; i >= 0; i--)
      stack.push({ node: nodes[i]!, indent, isLast: i === nodes.length - 1, isRoot })
  }
  push(roots, '', true)
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { node, indent, isLast, isRoot } = top
    const own = isRoot ? indent : indent + (isLast ? '   ' : '│  ')
    yield {
      node,
      prefix: isRoot ? indent : indent + (isLast ? '└─ ' : '├─ '),
      below: own + (node.children.length > 0 ? '│  ' : '   '),
    }
    push(node.children, own, false)
  }
}

/** Blocks in eighths would promise a precision that a bar does not have; a short span is one thin mark. */
function bar(span: TraceSpan, start_us: number, total_us: number, width: number, mark: string): string {
  const from = Math.min(width - 1, Math.floor(((span.start_us - start_us) / total_us) * width))
  const length = Math.min(width - from, Math.max(0, Math.round((span.duration_us / total_us) * width)))
  return `${' '.repeat(Math.max(0, from))}${length === 0 ? '▏' : mark.repeat(length)}`
}

const PHASE_STYLE: Style = 'dim'
const phaseWord = (phase: Phase): string => phase.replace(/_us$/, '')

/** Where the time of a call went. The guilty phase, the longest one, is marked; what has no room is left out, shortest first. */
export function phaseLine(phases: Record<Phase, number>, { paint }: Screen, width: number): string {
  let entries = Object.entries(phases) as [Phase, number][]
  const sum = entries.reduce((total, [, us]) => total + us, 0)
  if (sum === 0) return ''
  const guilty = entries.reduce((worst, entry) => (entry[1] > worst[1] ? entry : worst))[0]
  const text = ([phase, us]: [Phase, number]): string =>
    `${phase === guilty ? '▸' : ''}${phaseWord(phase)} ${share(us / sum)}${phase === guilty ? ` ${duration(us)}` : ''}`
  while (entries.length > 1 && entries.map(text).join(' · ').length > width) {
    const least = entries.reduce((smallest, entry) => (entry[1] < smallest[1] ? entry : smallest))
    entries = entries.filter((entry) => entry !== least)
  }
  return entries
    .map((entry) => paint(entry[0] === guilty ? ['bold', 'yellow'] : PHASE_STYLE, text(entry)))
    .join(paint(PHASE_STYLE, ' · '))
}

const isFailed = (outcome: string): boolean =>
  outcome !== '' && outcome !== 'ok' && outcome !== 'input_required'

/** Outcome, owner and message of what failed; '' for the rest. */
function failure(span: TraceSpan, call: TraceCall | undefined): string {
  if (call) {
    if (!isFailed(call.outcome)) return ''
    const kind = call.error_type && call.error_type !== call.outcome ? ` (${call.error_type})` : ''
    return clean(
      `✗ ${call.outcome}${kind}, owner ${call.owner}${call.error_message ? `: ${call.error_message}` : ''}`,
    )
  }
  // A CLIENT span of Weir fails with its call, which says so already.
  if (span.status !== 'Error' || span.is_weir) return ''
  return clean(`✗ error${span.status_message ? `: ${span.status_message}` : ''}`)
}

function label({ span, isOrphan }: Node): string {
  const server = span.attributes['weir.server'] ?? ''
  const isAsked = span.attributes['weir.kind'] === 'server_request'
  const to = isAsked ? '→ client' : `→ ${server}`
  const own = isAsked ? `${server} asks` : `weir ${server}`
  const place = span.is_weir ? (span.kind === 'Client' ? to : own) : span.service
  return clean(
    `${span.is_weir && span.kind === 'Client' ? '' : `${span.name} `}${place ? `[${place}]` : ''}${isOrphan ? ' …' : ''}`.trim(),
  )
}

export type Drawn = { readonly lines: string[]; readonly shown: number }

/** At most `limit` spans. `calls`: the events behind Weir's SERVER spans, by span id. */
export function waterfall(
  spans: readonly TraceSpan[],
  calls: ReadonlyMap<string, TraceCall>,
  now: Screen,
  limit: number,
): Drawn {
  const width = Number.isFinite(now.width) ? now.width : 120
  const start_us = spans.reduce((least, s) => Math.min(least, s.start_us), Number.POSITIVE_INFINITY)
  const end_us = spans.reduce((most, s) => Math.max(most, s.start_us + s.duration_us), start_us)
  const total_us = Math.max(1, end_us - start_us)
  const shown: Line[] = []
  for (const line of walk(treeOf(spans))) {
    if (shown.length >= limit) break
    shown.push(line)
  }
  const names = shown.map((line) => `${line.prefix}${label(line.node)}`)
  const longest = names.reduce((most, name) => Math.max(most, name.length), 10)
  const name_width = Math.max(10, Math.min(longest, Math.floor(width * 0.45)))
  const bar_width = Math.max(8, width - name_width - 2 - 10)
  const half = duration(total_us / 2)
  const axis = `${pad('0', Math.floor(bar_width / 2))}${pad(half, Math.max(0, Math.ceil(bar_width / 2) - duration(total_us).length))}${duration(total_us)}`
  const lines = [
    now.paint('dim', `${pad('span', name_width)} ${pad(axis, bar_width)} ${pad('duration', 9, 'right')}`),
  ]
  shown.forEach(({ node, below }, i) => {
    const { span } = node
    const call = span.is_weir && span.kind === 'Server' ? calls.get(span.span_id) : undefined
    const fault = failure(span, call)
    const style: Style =
      fault || (span.is_weir && span.status === 'Error')
        ? 'red'
        : span.is_weir
          ? span.kind === 'Server'
            ? 'cyan'
            : 'blue'
          : 'magenta'
    const mark = span.is_weir ? (span.kind === 'Server' ? '█' : '▓') : '░'
    const drawn = pad(bar(span, start_us, total_us, bar_width, mark), bar_width)
    lines.push(
      `${pad(names[i]!, name_width)} ${now.paint(style, drawn)} ${pad(duration(span.duration_us), 9, 'right')}`,
    )
    const under = now.paint('dim', cut(below, Math.floor(width / 2)))
    // A question has one phase: the client's answer.
    const phases =
      span.phases && call?.kind !== 'server_request'
        ? phaseLine(span.phases, now, now.width - below.length)
        : ''
    if (phases) lines.push(`${under}${phases}`)
    if (fault) lines.push(`${under}${now.paint('red', cut(fault, now.width - below.length))}`)
  })
  return { lines, shown: shown.length }
}
