/**
 * The rules Weir brings along, and how rules of the config are laid over them. Data and pure functions, without zod: the
 * collector reads it too. Every name here has a heading in dashboards/runbook.md; a test holds them together.
 */

export const FIGURES = [
  'error_share',
  'fault_share',
  'p95_ms',
  'p99_ms',
  'calls',
  'cost_usd',
  'overhead_p99_ms',
  'lost_events',
  'dead_letters',
  'ingest_age_s',
  'failed_deliveries',
] as const
export type Figure = (typeof FIGURES)[number]
/** Figures of Weir itself: there is one series, or one a receiver. */
export const HEALTH_FIGURES: readonly Figure[] = [
  'lost_events',
  'dead_letters',
  'ingest_age_s',
  'failed_deliveries',
]

export const SEVERITIES = ['critical', 'error', 'warning', 'info'] as const
export type Severity = (typeof SEVERITIES)[number]
export const OVERS = ['all', 'server', 'tool', 'team', 'caller'] as const
export type Over = (typeof OVERS)[number]

/** What every rule has, whatever it looks at. Times in seconds. */
type Common = {
  readonly name: string
  readonly severity: Severity
  readonly for_s: number
  readonly keep_firing_for_s: number
  readonly no_data: 'ok' | 'nodata' | 'alerting'
  readonly labels: Readonly<Record<string, string>>
  /** '' takes the heading of the runbook. */
  readonly runbook: string
}
export type ThresholdRule = Common & {
  readonly kind: 'threshold'
  readonly figure: Figure
  readonly over: Over
  readonly server: readonly string[]
  readonly tool: readonly string[]
  readonly team: readonly string[]
  readonly caller: readonly string[]
  readonly window_s: number
  readonly op: '>' | '>=' | '<' | '<='
  readonly value: number
  readonly min_calls: number
}
export type AnomalyRule = Common & {
  readonly kind: 'anomaly'
  /** Empty: all kinds. */
  readonly anomalies: readonly string[]
  readonly score_min: number
}
export type BudgetRule = Common & {
  readonly kind: 'budget'
  readonly by: 'spent' | 'forecast'
  /** Share of the budget. */
  readonly value: number
}
export type SloRule = Common & { readonly kind: 'slo'; readonly burn: BurnName }
export type Rule = ThresholdRule | AnomalyRule | BudgetRule | SloRule

/** Long window, short window (a twelfth), how many times faster than allowed. SRE workbook, chapter 5, for 30 days. */
export const BURNS = {
  fast: { long_s: 3_600, short_s: 300, rate: 14.4 },
  slow: { long_s: 21_600, short_s: 1_800, rate: 6 },
  ticket: { long_s: 259_200, short_s: 21_600, rate: 1 },
} as const
export type BurnName = keyof typeof BURNS

/** A rule as the config writes it: whatever is absent comes from the shipped rule of that name, or from `defaults`. */
export type RuleConfig = {
  enabled: boolean
  kind?: 'threshold' | 'anomaly' | 'budget' | undefined
  figure?: Figure | undefined
  over?: Over | undefined
  server?: readonly string[] | undefined
  tool?: readonly string[] | undefined
  team?: readonly string[] | undefined
  caller?: readonly string[] | undefined
  window_s?: number | undefined
  op?: ThresholdRule['op'] | undefined
  value?: number | undefined
  min_calls?: number | undefined
  anomalies?: readonly string[] | undefined
  score_min?: number | undefined
  by?: 'spent' | 'forecast' | undefined
  for_s?: number | undefined
  keep_firing_for_s?: number | undefined
  severity?: Severity | undefined
  no_data?: 'ok' | 'nodata' | 'alerting' | undefined
  labels?: Readonly<Record<string, string>> | undefined
  runbook?: string | undefined
}

const common = { for_s: 0, keep_firing_for_s: 0, no_data: 'ok', labels: {}, runbook: '' } as const
const threshold = {
  ...common,
  kind: 'threshold',
  over: 'all',
  server: [],
  tool: [],
  team: [],
  caller: [],
  window_s: 300,
  op: '>',
  min_calls: 10,
} as const

/** In force without any config. Each is switched off by `alerts.rules.<name>.enabled: false`. */
export const SHIPPED: readonly Rule[] = [
  {
    ...common,
    kind: 'anomaly',
    name: 'Anomaly',
    severity: 'warning',
    anomalies: [],
    score_min: 0,
  },
  { ...common, kind: 'budget', name: 'BudgetHalfSpent', severity: 'info', by: 'spent', value: 0.5 },
  { ...common, kind: 'budget', name: 'BudgetNearlySpent', severity: 'warning', by: 'spent', value: 0.8 },
  { ...common, kind: 'budget', name: 'BudgetSpent', severity: 'error', by: 'spent', value: 1 },
  {
    ...threshold,
    name: 'WeirLostEvents',
    severity: 'critical',
    figure: 'lost_events',
    value: 0,
    window_s: 900,
  },
  {
    ...threshold,
    name: 'WeirDeadLetters',
    severity: 'error',
    figure: 'dead_letters',
    value: 0,
    window_s: 900,
  },
  {
    ...threshold,
    name: 'WeirIngestDelay',
    severity: 'warning',
    figure: 'ingest_age_s',
    value: 60,
    for_s: 120,
    keep_firing_for_s: 120,
  },
  {
    ...threshold,
    name: 'WeirDeliveryFailing',
    severity: 'error',
    figure: 'failed_deliveries',
    op: '>=',
    value: 3,
    window_s: 900,
  },
  { ...common, kind: 'slo', name: 'SloBurnFast', severity: 'critical', burn: 'fast' },
  { ...common, kind: 'slo', name: 'SloBurnSlow', severity: 'critical', burn: 'slow' },
  { ...common, kind: 'slo', name: 'SloBurnTicket', severity: 'warning', burn: 'ticket' },
]

const SHIPPED_NAMES = new Set(SHIPPED.map((rule) => rule.name))
export const isShipped = (name: string): boolean => SHIPPED_NAMES.has(name)

const ofThreshold = [
  'figure',
  'over',
  'server',
  'tool',
  'team',
  'caller',
  'window_s',
  'op',
  'min_calls',
] as const
/** Settings that only some kinds understand. */
export const ONLY: Readonly<Record<Rule['kind'], readonly (keyof RuleConfig)[]>> = {
  threshold: [...ofThreshold, 'value'],
  anomaly: ['anomalies', 'score_min'],
  budget: ['by', 'value'],
  slo: [],
}

/** The rule that results; null when it is switched off. Throws an Error that says what is missing or does not belong. */
export function ruleOf(name: string, config: RuleConfig): Rule | null {
  const base = SHIPPED.find((rule) => rule.name === name)
  if (base && config.kind !== undefined && config.kind !== base.kind)
    throw new Error(
      `${name} is a rule of Weir of kind ${base.kind}; give a rule of another kind another name`,
    )
  const kind = base?.kind ?? config.kind ?? 'threshold'
  const { enabled, kind: _kind, ...rest } = config
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  const own = new Set<string>(ONLY[kind])
  for (const key of Object.values(ONLY).flat())
    if (key in given && !own.has(key)) throw new Error(`\`${key}\` means nothing to a rule of kind ${kind}`)
  if (!enabled) return null
  if (base) return check({ ...base, ...given } as Rule)
  const { severity = 'warning' } = config
  if (kind === 'threshold') {
    if (config.figure === undefined || config.value === undefined)
      throw new Error('needs `figure` and `value`, for example { figure: p95_ms, over: tool, value: 2000 }')
    return check({ ...threshold, severity, ...given, name } as unknown as ThresholdRule)
  }
  if (kind === 'budget') {
    if (config.value === undefined) throw new Error('needs `value`, the share of the budget, for example 0.9')
    return { ...common, by: 'spent', severity, ...given, kind, name } as BudgetRule
  }
  return { ...common, anomalies: [], score_min: 0, severity, ...given, kind: 'anomaly', name }
}

function check(rule: Rule): Rule {
  if (rule.kind !== 'threshold' || !HEALTH_FIGURES.includes(rule.figure)) return rule
  if (
    rule.over !== 'all' ||
    [rule.server, rule.tool, rule.team, rule.caller].some((globs) => globs.length > 0)
  )
    throw new Error(`${rule.figure} is a figure of Weir itself: it takes neither \`over\` nor names`)
  return rule
}

/** All rules in force, the shipped ones first. Throws as `ruleOf`. */
export function rulesInForce(configured: Readonly<Record<string, RuleConfig>>): Rule[] {
  const names = [...SHIPPED_NAMES, ...Object.keys(configured).filter((name) => !isShipped(name))]
  return names.flatMap((name) => ruleOf(name, configured[name] ?? { enabled: true }) ?? [])
}
