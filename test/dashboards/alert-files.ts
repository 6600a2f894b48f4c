/** The provisioned alert rules, and their queries as Grafana would ask them at a moment. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { asSent } from './plugin.ts'

export const PROVISIONING = join(import.meta.dirname, '../../dashboards/grafana/provisioning')
export const provisioned = (file: string): unknown => parse(readFileSync(join(PROVISIONING, file), 'utf8'))

type Data = {
  refId: string
  datasourceUid: string
  relativeTimeRange: { from: number; to: number }
  model: {
    rawSql?: string
    format?: number
    type?: string
    expression?: string
    conditions?: { evaluator: { type: string; params: number[] } }[]
  }
}
export type GrafanaRule = {
  uid: string
  title: string
  condition: string
  for: string
  noDataState: string
  execErrState: string
  labels: Record<string, string>
  annotations: Record<string, string>
  data: Data[]
}

export const grafanaRules = (
  provisioned('alerting/rules.yaml') as {
    groups: { folder: string; interval: string; rules: GrafanaRule[] }[]
  }
).groups.flatMap((g) => g.rules)

/** Name and SQL of every rule, evaluated at `now`. */
export const ruleQuestions = (now: Date): { name: string; sql: string }[] =>
  grafanaRules.map((rule) => {
    const { relativeTimeRange, model } = rule.data.find((d) => d.model.rawSql !== undefined)!
    const sql = asSent(model.rawSql!, {
      from: new Date(now.getTime() - relativeTimeRange.from * 1000),
      to: new Date(now.getTime() - relativeTimeRange.to * 1000),
      interval_ms: 60_000,
      variables: {},
    })
    return { name: `rule ${rule.title}`, sql }
  })
