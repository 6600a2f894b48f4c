/**
 * What part of the calls a question is about: a time and the filters every view shares. Up to a day the answer comes from the
 * calls themselves, to the microsecond; beyond it from five-minute rollups, which agree exactly on whole steps and know tools
 * but no callers: filtered by those, a long time is read from the calls too.
 */
export const FILTERS = ['server', 'tool', 'method', 'env', 'caller', 'team', 'project', 'agent'] as const
export type Filter = (typeof FILTERS)[number]

export type Scope = { readonly from_ms: number; readonly to_ms: number } & Readonly<
  Partial<Record<Filter, string>>
>

const DAY_MS = 86_400_000
const ROLLED: readonly Filter[] = ['server', 'tool', 'method', 'env']

/** Whether the rollups answer. */
export const isRolled = (scope: Scope): boolean =>
  scope.to_ms - scope.from_ms > DAY_MS && FILTERS.every((name) => ROLLED.includes(name) || !scope[name])

/** A filter that is not set lets everything through. */
const filters = (names: readonly Filter[]): string =>
  names.map((name) => `({${name}:String} = '' OR v.${name} = {${name}:String})`).join(' AND ')

/** Conditions on a view of calls `AS v`. Bounds of the column's own type: see follow.ts. */
export const IN_CALLS = `v.ts >= fromUnixTimestamp64Micro({from_us:Int64}) AND v.ts < fromUnixTimestamp64Micro({to_us:Int64}) AND ${filters(FILTERS)}`
/** Conditions on v_tool_5m `AS v`. */
export const IN_STEPS = `v.t >= toStartOfFiveMinutes(toDateTime({from_s:UInt32}, 'UTC')) AND v.t < toDateTime({to_s:UInt32}, 'UTC') AND ${filters(ROLLED)}`

/** Values of every parameter that the conditions name. */
export const bound = (scope: Scope): Record<string, unknown> => ({
  ...Object.fromEntries(FILTERS.map((name) => [name, scope[name] ?? ''])),
  from_us: Math.round(scope.from_ms * 1000),
  to_us: Math.round(scope.to_ms * 1000),
  from_s: Math.floor(scope.from_ms / 1000),
  to_s: Math.ceil(scope.to_ms / 1000),
})

const STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400]
const STEPS_MAX = 90

/** Length of a step, seconds: what divides the time into at most 90, and no finer than the source. */
export function stepOf(scope: Scope): number {
  const least_s = isRolled(scope) ? 300 : 5
  const wanted_s = (scope.to_ms - scope.from_ms) / 1000 / STEPS_MAX
  return STEPS_S.find((s) => s >= wanted_s && s >= least_s) ?? Math.ceil(wanted_s / 86_400) * 86_400
}
