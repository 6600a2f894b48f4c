/** Time and filters of a view, as every question about calls takes them. */
import type { Params } from './api.ts'
import { filtersOf } from './filters.ts'
import { usePulse } from './live.ts'
import { usePlace } from './route.ts'
import { type Span, spanOf } from './time.ts'

/** Filters that all questions about calls know. */
export const SCOPE_FILTERS = [
  'server',
  'tool',
  'method',
  'env',
  'caller',
  'team',
  'project',
  'agent',
] as const

export type ViewScope = {
  readonly span: Span
  /** Parameters of a question. */
  readonly params: Params
  /** The same without the moving edge of time: see useAnswer. */
  readonly key: string
}

/** `fixed`: filters the view itself sets, over those of the address. */
export function useScope(fixed: Readonly<Record<string, string>> = {}): ViewScope {
  const place = usePlace()
  const { now_ms } = usePulse()
  const span = spanOf(place, now_ms)
  const filters = { ...filtersOf(place.params, SCOPE_FILTERS), ...fixed }
  const { range = '', from = '', to = '' } = place.params
  return {
    span,
    params: { from: span.from_ms, to: span.to_ms, ...filters },
    key: JSON.stringify([span.isLive ? range : [from, to], filters]),
  }
}
