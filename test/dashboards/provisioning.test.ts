/** The files Grafana reads at start: data sources, boards, rules, contact points, policies. In the shape Grafana documents. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { files } from '../../dashboards/grafana/build.ts'
import { grafanaRules, PROVISIONING, provisioned } from './alert-files.ts'
import { boards } from './questions.ts'

const runbook = readFileSync(join(PROVISIONING, '../../runbook.md'), 'utf8')
const headings = new Set([...runbook.matchAll(/^## (.+)$/gm)].map((m) => m[1]!.trim()))

it('rules are built from the source as it is', () => {
  const built = files()['provisioning/alerting/rules.yaml']
  expect(
    readFileSync(join(PROVISIONING, 'alerting/rules.yaml'), 'utf8') === built,
    'run npm run dashboards',
  ).toBe(true)
})

it('the data source is the official plugin over HTTP, its address and password from the environment', () => {
  const { datasources } = provisioned('datasources/weir.yaml') as {
    datasources: {
      uid: string
      type: string
      jsonData: Record<string, unknown>
      secureJsonData?: { password: string }
    }[]
  }
  const [weir, metrics, alertmanager] = datasources
  expect(weir).toMatchObject({
    uid: 'weir',
    type: 'grafana-clickhouse-datasource',
    jsonData: {
      protocol: 'http',
      host: '${WEIR_STORE_HOST}',
      port: '${WEIR_STORE_PORT}',
      defaultDatabase: 'weir',
    },
    secureJsonData: { password: '${WEIR_STORE_PASSWORD}' },
  })
  expect([metrics!.type, alertmanager!.type]).toEqual(['prometheus', 'alertmanager'])
})

it('each rule has a condition on its query, a label to route by, a panel that shows it and a heading in the runbook', () => {
  expect(grafanaRules.length).toBeGreaterThan(5)
  expect(new Set(grafanaRules.map((r) => r.uid)).size).toBe(grafanaRules.length)
  for (const rule of grafanaRules) {
    const [ask, threshold] = rule.data
    expect(rule.uid, rule.title).toMatch(/^[\w-]{1,40}$/)
    expect(rule.for, rule.title).toMatch(/^\d+[smh]$/)
    expect(['NoData', 'OK', 'Alerting', 'KeepLast']).toContain(rule.noDataState)
    expect(['OK', 'Error', 'Alerting', 'KeepLast']).toContain(rule.execErrState)
    expect(ask!.datasourceUid).toBe('weir')
    expect(ask!.relativeTimeRange.from).toBeGreaterThan(ask!.relativeTimeRange.to)
    // A rule has no dashboard, so no variables; macros stay as they are, because Grafana keeps models of rules raw.
    expect(ask!.model.rawSql, rule.title).not.toMatch(/\$\{|\$__conditionalAll|\$(?!__)\w/)
    expect(ask!.model.format).toBe(1)
    expect(rule.condition).toBe(threshold!.refId)
    expect(threshold).toMatchObject({
      datasourceUid: '__expr__',
      model: { type: 'threshold', expression: ask!.refId },
    })
    expect(threshold!.model.conditions![0]!.evaluator.type).toBe('gt')
    expect(['page', 'ticket']).toContain(rule.labels.severity)
    const board = Object.values(boards).find((b) => b.uid === rule.annotations.__dashboardUid__)
    const panel = board?.panels.find((p) => String(p.id) === rule.annotations.__panelId__)
    expect(panel, `${rule.title} names a panel`).toBeDefined()
    expect(headings, rule.title).toContain(rule.title)
    expect(rule.annotations.runbook).toBe(`dashboards/runbook.md#${rule.title.toLowerCase()}`)
  }
})

it('every severity has a policy, and every policy a contact point', () => {
  const { contactPoints } = provisioned('alerting/contact-points.yaml') as {
    contactPoints: { name: string; receivers: { uid: string; type: string; settings: { url: string } }[] }[]
  }
  const { policies } = provisioned('alerting/policies.yaml') as {
    policies: { receiver: string; routes: { receiver: string; object_matchers: string[][] }[] }[]
  }
  const points = contactPoints.map((point) => point.name)
  const [root] = policies
  for (const { receiver } of [root!, ...root!.routes]) expect(points).toContain(receiver)
  const routed = root!.routes.flatMap((route) => route.object_matchers.map((m) => m[2]))
  expect(new Set(routed)).toEqual(new Set(grafanaRules.map((rule) => rule.labels.severity)))
})

it('every alert of Prometheus has a heading in the runbook, which says what it means, what to ask, why and what to do', () => {
  const text = readFileSync(join(PROVISIONING, '../../prometheus/alert-rules.yaml'), 'utf8')
  const alerts = [...text.matchAll(/alert: (\w+)/g)].map((m) => m[1]!)
  for (const alert of alerts) {
    expect(headings, alert).toContain(alert)
    expect(text).toContain(`runbook: dashboards/runbook.md#${alert.toLowerCase()}`)
  }
  for (const section of runbook.split(/^## /m).slice(1)) {
    if (!section.startsWith('Weir')) continue
    const name = section.split('\n')[0]!
    for (const part of ['**Meaning.**', '**First query.**', '**Usual cause.**', '**Fix.**'])
      expect(section, name).toContain(part)
  }
})
