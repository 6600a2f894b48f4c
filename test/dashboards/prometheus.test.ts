/** The way without ClickHouse: board and rules ask only for metrics that Weir has, and the rules say what their tests expect. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { file } from '../../dashboards/prometheus/build.ts'
import { OUTCOMES } from '../../event/fields.ts'
import { COLLECTOR_METRICS } from '../../event/names.ts'
import { METRICS, type MetricSpec } from '../../event/proxy-metrics.ts'

const FOLDER = join(import.meta.dirname, '../../dashboards/prometheus')
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8')
const has = (program: string): boolean => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

type Rules = {
  groups: {
    rules: {
      alert?: string
      record?: string
      expr: string
      labels?: { severity: string }
      annotations?: { summary: string; runbook: string }
    }[]
  }[]
}
const rulesOf = (name: string): Rules['groups'][number]['rules'] =>
  (parse(read(name)) as Rules).groups.flatMap((group) => group.rules)
const recorded = rulesOf('recording-rules.yaml')
const alerts = rulesOf('alert-rules.yaml')
type MetricPanel = {
  title: string
  type: string
  description?: string
  targets?: { expr: string; legendFormat: string }[]
  fieldConfig?: { defaults: { unit?: string; noValue?: string } }
}
const board = JSON.parse(read('built/metrics.json')) as { panels: MetricPanel[] }
const panels = board.panels.filter((panel) => panel.type !== 'row')
const expressions = [
  ...recorded.map((rule) => ({ where: rule.record!, expr: rule.expr })),
  ...alerts.map((rule) => ({ where: rule.alert!, expr: rule.expr })),
  ...panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ expr, legendFormat }) => ({ where: panel.title, expr, legendFormat })),
  ),
]

/** Every series name Weir exposes, with its labels; those of rules count as well. */
const known = new Map<string, Set<string>>([['up', new Set()]])
const add = (name: string, type: string, labels: readonly string[]): void => {
  const all = new Set([...labels, 'job', 'instance'])
  // Prometheus keeps a label of ours that it has itself under another name.
  if (labels.includes('job')) all.add('exported_job')
  if (type !== 'histogram') known.set(name, all)
  else {
    for (const end of ['_count', '_sum']) known.set(name + end, all)
    known.set(`${name}_bucket`, new Set([...all, 'le']))
  }
}
for (const [name, { type, labels }] of Object.entries<MetricSpec>(METRICS)) add(name, type, labels)
for (const { name, type, labels } of COLLECTOR_METRICS) add(name, type, labels)
const names = (expr: string): string[] =>
  [...expr.replaceAll(/"[^"]*"/g, '').matchAll(/\b(?:weir|mcp|process|nodejs)[_:][\w:]+|\bup\b/g)]
    .map((m) => m[0])
    .filter((name) => !/^(process|weir_server|weir_outcome|mcp_method_name)$/.test(name))

describe('what is asked for', () => {
  it('exists: every metric is one Weir exposes, or a recorded one', () => {
    const rules = new Set(recorded.map((rule) => rule.record))
    const unknown = expressions.flatMap(({ where, expr }) =>
      names(expr)
        .filter((name) => !known.has(name) && !rules.has(name))
        .map((name) => `${where}: ${name}`),
    )
    expect(unknown).toEqual([])
    expect(new Set(expressions.flatMap(({ expr }) => names(expr))).size).toBeGreaterThan(25)
  })

  it('exists: every label is one of the metric', () => {
    for (const { where, expr } of expressions)
      for (const [, name, matchers] of expr.matchAll(/([\w:]+)\{([^}]*)\}/g))
        for (const [, label] of matchers!.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
          if (name !== 'up') expect([...known.get(name!)!], `${where}: ${name}`).toContain(label)
    const every = new Set([...known.values()].flatMap((labels) => [...labels]))
    for (const { where, expr } of expressions)
      for (const [, by] of expr.matchAll(/\bby \(([^)]*)\)/g))
        for (const label of by!.split(',')) expect([...every], where).toContain(label.trim())
  })

  it('uses the outcomes that exist, and the same meaning of failed as everywhere', () => {
    const words = expressions.flatMap(({ expr }) =>
      [...expr.matchAll(/weir_outcome[=!]~"([^"]*)"/g)].flatMap((m) => m[1]!.split('|')),
    )
    for (const word of words) expect(OUTCOMES).toContain(word)
    const failed = recorded.find((rule) => rule.record === 'weir:failed:ratio_rate5m')!
    expect(failed.expr).toContain('weir_outcome!~"ok|input_required"')
  })

  it('names series by labels that are left', () => {
    for (const e of expressions) {
      if (!('legendFormat' in e)) continue
      for (const [, label] of (e.legendFormat as string).matchAll(/\{\{(\w+)\}\}/g)) {
        const groups = [...e.expr.matchAll(/\bby \(([^)]*)\)/g)].at(0)?.[1]
        if (groups !== undefined) expect(groups, e.where).toContain(label)
      }
    }
  })
})

describe('the board', () => {
  it('is built from its source as it is, and says what it shows', () => {
    expect(read('built/metrics.json') === file(), 'run npm run dashboards').toBe(true)
    for (const panel of panels) {
      expect(panel.description?.length ?? 0, panel.title).toBeGreaterThan(15)
      expect(panel.fieldConfig?.defaults.unit, panel.title).toBeTruthy()
      expect(panel.fieldConfig?.defaults.noValue, panel.title).toBeTruthy()
    }
  })
})

describe.skipIf(!has('promtool'))('promtool', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-promtool-'))
  beforeAll(() => cpSync(FOLDER, folder, { recursive: true }))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const promtool = (...args: string[]): string => {
    try {
      return execFileSync('promtool', args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' })
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string }
      throw new Error(`${stdout}\n${stderr}`, { cause: error })
    }
  }

  it('finds the rules well formed', () => {
    expect(promtool('check', 'rules', 'recording-rules.yaml', 'alert-rules.yaml')).toContain('14 rules found')
  })

  it('finds that every alert fires when it should and only then', () => {
    expect(promtool('test', 'rules', 'tests.yaml')).toContain('SUCCESS')
    const tested = (
      parse(read('tests.yaml')) as {
        tests: { alert_rule_test?: { alertname: string; exp_alerts: unknown[] }[] }[]
      }
    ).tests
    const fires = new Set(
      tested
        .flatMap((t) => t.alert_rule_test ?? [])
        .filter((t) => t.exp_alerts.length > 0)
        .map((t) => t.alertname),
    )
    expect([...fires].sort()).toEqual(alerts.map((rule) => rule.alert).sort())
  })

  it('finds the config of the server well formed', () => {
    // The secret is a file that exists in the container only.
    const secret = join(folder, 'key')
    writeFileSync(secret, 'key')
    writeFileSync(
      join(folder, 'here.yml'),
      read('prometheus.yml').replaceAll('/run/secrets/weir_metrics_key', secret),
    )
    expect(promtool('check', 'config', 'here.yml')).toContain('SUCCESS')
  })
})

describe.skipIf(!has('amtool'))('amtool', () => {
  it("finds Alertmanager's config well formed", () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-amtool-'))
    try {
      // url_file is younger than Debian's amtool; what it holds is a URL.
      const config = join(folder, 'alertmanager.yml')
      writeFileSync(config, read('alertmanager.yml').replace(/url_file: .*/, 'url: http://127.0.0.1:9/'))
      expect(execFileSync('amtool', ['check-config', config], { encoding: 'utf8' })).toContain('SUCCESS')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
