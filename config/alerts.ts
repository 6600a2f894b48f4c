/**
 * `alerts` and `slos` of weir.yaml: who is told, which rules, when it is quiet, what is promised.
 * What one field alone cannot tell is in alerts-check.ts; the shipped rules are in alert-rules.ts.
 */
import { z } from 'zod'
import { FIGURES, OVERS, SEVERITIES } from './alert-rules.ts'
import { httpUrl, meta } from './leaves.ts'

/** A duration in seconds, fractions allowed. */
const seconds = (description: string, fallback?: number, min = 0, max = 2_678_400) => {
  const number = z.number().min(min).max(max)
  const about = meta(description, { unit: 's' })
  return fallback === undefined ? number.optional().meta(about) : number.default(fallback).meta(about)
}
const required = (
  description: string,
  fallback: number,
  min = 0,
  max = 2_678_400,
): z.ZodDefault<z.ZodNumber> =>
  z
    .number()
    .min(min)
    .max(max)
    .default(fallback)
    .meta(meta(description, { unit: 's' }))
const names = (what: string) =>
  z
    .array(z.string().min(1).max(100))
    .max(50)
    .optional()
    .meta(meta(`Only these ${what}; * and ? stand for any letters`))

/** Name of a rule, receiver or objective: becomes a label value, a heading, a key. */
const word = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, 'a name is letters, digits, "_" and "-", for example slow-bank')

const receiver = z
  .strictObject({
    name: word.optional().meta(meta('Name of the receiver; default: its kind')),
    alertmanager: z
      .strictObject({
        url: httpUrl.meta(meta('Base URL of the Alertmanager', { example: 'https://alertmanager:9093' })),
        resend_s: required('How often alerts that fire are sent again, so that they go on', 60, 0.1, 3_600),
      })
      .optional()
      .meta(meta('A Prometheus Alertmanager, API v2')),
    webhook: z
      .strictObject({
        url: httpUrl.meta(meta('Where the JSON of Alertmanager webhooks (version 4) is posted')),
        hmac_secret: z
          .string()
          .min(16)
          .optional()
          .meta(meta('Key of the signature in the header Weir-Signature; use ${ENV} or file:')),
      })
      .optional()
      .meta(meta('Any HTTP endpoint')),
    slack: z
      .strictObject({ url: httpUrl.meta(meta('Incoming webhook of Slack; use ${ENV} or file:')) })
      .optional()
      .meta(meta('A Slack channel')),
    pagerduty: z
      .strictObject({
        routing_key: z
          .string()
          .min(8)
          .max(100)
          .meta(meta('Integration key, Events API v2; use ${ENV} or file:')),
        url: httpUrl
          .default('https://events.pagerduty.com/v2/enqueue')
          .meta(meta('Events API of the region of your account')),
      })
      .optional()
      .meta(meta('A PagerDuty service')),
    match: z
      .array(z.string().max(400))
      .max(20)
      .default([])
      .meta(meta('Only alerts that meet all of these', { example: 'severity=~"critical|error"' })),
    send_resolved: z.boolean().default(true).meta(meta('Whether it hears when an alert is over')),
    allow_http: z
      .boolean()
      .default(false)
      .meta(meta('Plain http:// beyond this machine, for networks you trust')),
  })
  .meta(meta('Who is told'))

const rule = z.strictObject({
  enabled: z.boolean().default(true).meta(meta('false switches the rule off, also a shipped one')),
  kind: z
    .enum(['threshold', 'anomaly', 'budget'])
    .optional()
    .meta(meta('What it looks at; default: threshold')),
  figure: z.enum(FIGURES).optional().meta(meta('Threshold: the figure')),
  over: z.enum(OVERS).optional().meta(meta('Threshold: one alert for each of these')),
  server: names('servers'),
  tool: names('tools'),
  team: names('teams'),
  caller: names('callers'),
  window_s: seconds('Threshold: how far back it looks', undefined, 1, 86_400),
  op: z.enum(['>', '>=', '<', '<=']).optional().meta(meta('Threshold: default >')),
  value: z
    .number()
    .min(0)
    .optional()
    .meta(meta('Threshold: in the unit of the figure; shares from 0 to 1. Budget: share of the budget')),
  min_calls: z
    .number()
    .int()
    .min(0)
    .optional()
    .meta(
      meta('Threshold: with fewer calls in the window nothing is said of shares and latencies; default 10'),
    ),
  anomalies: z
    .array(z.string().min(1).max(100))
    .max(50)
    .optional()
    .meta(meta('Anomaly: kinds; default: all')),
  score_min: z.number().min(0).optional().meta(meta('Anomaly: least score')),
  by: z.enum(['spent', 'forecast']).optional().meta(meta('Budget: what is compared; default spent')),
  for_s: seconds('How long it must hold before the alert fires'),
  keep_firing_for_s: seconds('How long the alert goes on after it held for the last time'),
  severity: z.enum(SEVERITIES).optional().meta(meta('Default: warning')),
  no_data: z
    .enum(['ok', 'nodata', 'alerting'])
    .optional()
    .meta(meta('What a series without calls means that had some in the last day; default ok')),
  labels: z.record(z.string(), z.string().max(200)).optional().meta(meta('Further labels of its alerts')),
  runbook: z.string().max(500).optional().meta(meta('Link to your own runbook')),
})

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected a time of day, for example "02:30"')
const dateTime = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$/, 'expected a moment, for example "2027-01-31T22:00"')

const maintenance = z.strictObject({
  name: word.meta(meta('Name of the window')),
  time_zone: z
    .string()
    .max(64)
    .default('UTC')
    .meta(meta('IANA name', { example: 'Europe/Berlin' })),
  days: z.array(z.enum(DAYS)).min(1).optional().meta(meta('Weekly: the days on which it begins')),
  from: z.union([clock, dateTime]).meta(meta('Weekly: time of day. Dated: first moment, in the time zone')),
  to: z.union([clock, dateTime]).meta(meta('End; weekly and not after `from`: on the next day')),
  match: z.array(z.string().max(400)).max(20).default([]).meta(meta('Only alerts that meet all of these')),
})

/** `alerts` */
export const alertsSchema = z.strictObject({
  to: z.array(receiver).max(20).default([]).meta(meta('Who is told; nobody: alerts are only shown')),
  rules: z
    .record(word, rule)
    .default({})
    .meta(meta('Rules by name; the name of a shipped rule changes that one')),
  group_by: z
    .array(z.string())
    .max(20)
    .default(['alertname', 'server'])
    .meta(meta('Alerts that agree in these labels are told together')),
  group_wait_s: required('How long a new group waits for more', 10, 0, 3_600),
  group_interval_s: required('Least time between two messages about one group', 300, 0, 86_400),
  repeat_interval_s: required(
    'After this long an alert that still fires is told again',
    14_400,
    1,
    2_678_400,
  ),
  evaluation_interval_s: required('How often rules are looked at', 30, 0.1, 3_600),
  lag_s: z
    .number()
    .min(0)
    .max(600)
    .optional()
    .meta(
      meta('How far behind now the windows end; default: as measured, what calls need to the store', {
        unit: 's',
      }),
    ),
  missing_evaluations: z
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(4)
    .meta(meta('An alert whose series is gone is over after this many evaluations')),
  maintenance: z.array(maintenance).max(100).default([]).meta(meta('Times in which nobody is told')),
  console_url: httpUrl
    .optional()
    .meta(
      meta('Base of links to the console; default: console.public_url, or the address of console.listen'),
    ),
  runbook_url: z
    .string()
    .max(500)
    .default('dashboards/runbook.md')
    .meta(meta('The page that headings of the runbook are appended to')),
})

const slo = z.strictObject({
  objective: z.enum(['success', 'latency', 'cost']).meta(meta('What a good call is')),
  under_ms: z
    .number()
    .positive()
    .optional()
    .meta(meta('Latency: a good call takes less', { unit: 'ms' })),
  under_usd: z
    .number()
    .positive()
    .optional()
    .meta(meta('Cost: a good call costs less', { unit: 'USD' })),
  bad: z
    .enum(['faults', 'failed'])
    .default('faults')
    .meta(meta('Success: faults leaves out what the client did wrong')),
  target: z
    .number()
    .gt(0)
    .lt(1)
    .meta(meta('Share of good calls that is promised', { example: 0.995 })),
  window_days: z
    .number()
    .int()
    .min(1)
    .max(90)
    .default(30)
    .meta(meta('Over how long', { unit: 'days' })),
  each: z
    .enum(['none', 'server', 'tool', 'team'])
    .default('none')
    .meta(meta('none: one promise for all of them together; else one for each')),
  server: names('servers'),
  tool: names('tools'),
  team: names('teams'),
  min_calls: z
    .number()
    .int()
    .min(1)
    .default(10)
    .meta(meta('With fewer calls in a window its burn rate says nothing')),
})

/** `slos` */
export const slosSchema = z.record(word, slo)

export type AlertsConfig = z.infer<typeof alertsSchema>
export type ReceiverConfig = AlertsConfig['to'][number]
export type MaintenanceConfig = AlertsConfig['maintenance'][number]
export type SloConfig = z.infer<typeof slo>
