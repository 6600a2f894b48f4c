import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type ConfigError, parseConfig } from '../../config/load.ts'

const problems = (text: string): string[] => {
  try {
    parseConfig(text, 'weir.yaml', {})
    return []
  } catch (error) {
    return (error as ConfigError).problems.map((p) => `${p.path}: ${p.message}`)
  }
}

test.each([
  [
    'alerts: { to: [{ slack: { url: "http://hooks.example/x" } }] }',
    'alerts.to[0].slack.url: is not encrypted',
  ],
  ['alerts: { to: [{}] }', 'alerts.to[0]: has no kind'],
  [
    'alerts: { to: [{ slack: { url: "https://a.example" }, webhook: { url: "https://b.example" } }] }',
    'alerts.to[0]: has more than one kind',
  ],
  [
    'alerts: { to: [{ slack: { url: "https://a.example" } }, { slack: { url: "https://b.example" } }] }',
    'alerts.to[1]: the name `slack` is taken',
  ],
  [
    'alerts: { to: [{ slack: { url: "https://a.example" }, match: ["severity"] }] }',
    'alerts.to[0].match[0]: is not a matcher',
  ],
  ['alerts: { rules: { A: { figure: calls } } }', 'alerts.rules.A: needs `figure` and `value`'],
  [
    'alerts: { rules: { A: { figure: lost_events, over: tool, value: 1 } } }',
    'alerts.rules.A: lost_events is a figure of Weir itself: it takes neither `over` nor names',
  ],
  [
    'alerts: { rules: { A: { kind: budget, window_s: 60, value: 1 } } }',
    'alerts.rules.A: `window_s` means nothing to a rule of kind budget',
  ],
  [
    'alerts: { rules: { Anomaly: { kind: budget, value: 1 } } }',
    'alerts.rules.Anomaly: Anomaly is a rule of Weir of kind anomaly; give a rule of another kind another name',
  ],
  [
    'alerts: { maintenance: [{ name: a, time_zone: Mars/Base, days: [mon], from: "01:00", to: "02:00" }] }',
    'alerts.maintenance[0].time_zone: there is no such time zone',
  ],
  [
    'alerts: { maintenance: [{ name: a, from: "01:00", to: "02:00" }] }',
    'alerts.maintenance[0]: is neither weekly nor dated',
  ],
  [
    'alerts: { maintenance: [{ name: a, from: "2027-02-01T00:00", to: "2027-01-01T00:00" }] }',
    'alerts.maintenance[0].to: is not after `from`',
  ],
  [
    'slos: { a: { objective: latency, target: 0.9 } }',
    'slos.a: `under_ms` belongs to the objective latency, and only there',
  ],
])('%s: %s', (text, problem) => {
  expect(problems(text)).toEqual([problem])
})

test('plain http is for this machine, or where it is allowed', () => {
  expect(problems('alerts: { to: [{ webhook: { url: "http://127.0.0.1:9/x" } }] }')).toEqual([])
  expect(problems('alerts: { to: [{ webhook: { url: "http://[::1]:9/x" } }] }')).toEqual([])
  expect(
    problems('alerts: { to: [{ webhook: { url: "http://am.internal/x" }, allow_http: true }] }'),
  ).toEqual([])
})

test('the example of the page is a config', () => {
  const page = readFileSync(new URL('../../docs/alerts.md', import.meta.url), 'utf8')
  expect(problems(/```yaml\n([\s\S]*?)```/.exec(page)![1]!)).toEqual([])
})
