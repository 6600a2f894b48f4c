import { describe, expect, test } from 'vitest'
import { type ConfigError, parseConfig } from '../../config/load.ts'
import type { Target } from '../../config/rule.ts'
import { CallerFacts, ClientFacts, UNANNOTATED } from '../../config/rule-facts.ts'
import { RuleSet } from '../../config/ruleset.ts'

const caller = (more: Partial<CallerFacts> = {}) =>
  new CallerFacts({
    name: 'agent',
    team: 'research',
    project: '',
    principal: 'agent',
    auth_method: 'api_key',
    roles: ['reader'],
    tags: {},
    ...more,
  })
const target = (name = 'get_x', more: Partial<Target> = {}): Target => ({
  kind: 'tool',
  method: 'tools/call',
  server: 'bank',
  name,
  annotations: UNANNOTATED,
  ...more,
})
const particulars = (args: Record<string, unknown> = {}, now = new Date()) => ({
  args,
  args_bytes: 50,
  client: new ClientFacts('c', '1.0'),
  now,
})
const rulesOf = (yaml: string) => new RuleSet(parseConfig(`rules:\n${yaml}`, '/w/weir.yaml', {}).config.rules)
const judge = (
  yaml: string,
  of = target(),
  args: Record<string, unknown> = {},
  who = caller(),
  scope: string[] | null = null,
) => {
  const { verdict, rule, shadow } = rulesOf(yaml).forCaller(who, scope).forTarget(of).judge(particulars(args))
  return `${verdict} ${rule}${shadow.length > 0 ? ` (${shadow})` : ''}`
}

describe('the order of rules does not count', () => {
  test('without an allow what nothing forbids may pass', () => {
    expect(judge('  - { deny: d, tools: drop_* }')).toBe('allow default')
    expect(judge('  - { deny: d, tools: drop_* }', target('drop_all'))).toBe('deny d')
  })
  test('deny wins over an allow before or after it', () => {
    const [allow, deny] = ['  - { allow: a }', '  - { deny: d, when: "args.n > 1" }']
    for (const yaml of [`${allow}\n${deny}`, `${deny}\n${allow}`]) {
      expect(judge(yaml, target(), { n: 2 })).toBe('deny d')
      expect(judge(yaml, target(), { n: 1 })).toBe('allow a')
    }
  })
  test('once there is an allow, what none lets pass is refused, for every caller', () => {
    const yaml = '  - { allow: a, callers: other }'
    expect(judge(yaml)).toBe('deny default')
    expect(judge(yaml, target(), {}, caller({ name: 'other' }))).toBe('allow a')
  })
})

describe('failing closed', () => {
  test('a deny that cannot be judged refuses, an allow that cannot be judged lets nothing pass', () => {
    expect(judge('  - { deny: d, when: "args.n > 1" }')).toBe('deny d')
    expect(judge('  - { deny: d, when: "args.n > 1" }', target(), { n: 'text' })).toBe('deny d')
    expect(judge('  - { allow: a, when: "args.n > 1" }')).toBe('deny default')
    expect(
      judge('  - { allow: a, when: "args.n > 1" }\n  - { allow: b, when: "args.m > 1" }', target(), { m: 2 }),
    ).toBe('allow b')
  })
  test('a thousand rules together may cost no more than one', () => {
    const yaml = Array.from(
      { length: 1000 },
      (_, i) => `  - { deny: d${i}, when: "args.a.exists(x, x == ${i + 1e6})" }`,
    ).join('\n')
    const a = Array.from({ length: 20_000 }, (_, i) => i)
    expect(judge(yaml, target(), { a })).toMatch(/^deny d\d+$/)
    expect(judge(yaml, target(), { a: [1, 2] })).toBe('allow default')
  })
})

describe('whom and what a rule is about', () => {
  test('a rule of tools says nothing of prompts and resources', () => {
    const yaml = '  - { allow: a, tools: "*" }'
    expect(judge(yaml, target('p', { kind: 'prompt', method: 'prompts/get' }))).toBe('deny default')
    expect(judge(yaml, target('', { kind: 'other', method: 'bank/secrets' }))).toBe('deny default')
    expect(
      judge(
        '  - { allow: a, resources: "bank://pub/*" }',
        target('bank://pub/x', { kind: 'resource', method: 'resources/read' }),
      ),
    ).toBe('allow a')
  })
  test('a template is shown when a URI made of it could be allowed', () => {
    const of = (uri: string) => target(uri, { kind: 'template', method: 'resources/read' })
    expect(judge('  - { allow: a, resources: "bank://pub/*" }', of('bank://{area}/x'))).toBe('allow a')
    expect(judge('  - { allow: a, resources: "bank://pub/*" }', of('bank://priv/{x}'))).toBe('deny default')
  })
  test('a scope is a bound of its own', () => {
    expect(judge('  - { allow: a }', target(), {}, caller(), ['bank/get_*'])).toBe('allow a')
    expect(judge('  - { allow: a }', target('drop'), {}, caller(), ['bank/get_*'])).toBe('deny scope')
    expect(judge('  - { deny: d, tools: none }', target(), {}, caller(), ['other/*'])).toBe('deny scope')
    const unknown = { ...target(''), kind: 'other', method: 'bank/drop_all' } as const
    expect(judge('  - { allow: a }', unknown, {}, caller(), ['bank/get_*'])).toBe('deny scope')
    expect(judge('  - { allow: a }', unknown, {}, caller(), ['bank/*'])).toBe('allow a')
    expect(rulesOf('  - { allow: a }').forCaller(caller(), ['other']).reaches('bank', particulars())).toBe(
      false,
    )
  })
  test.each([
    ['teams: [research, ops]', 'allow a'],
    ['teams: res*', 'allow a'],
    ['teams: Research', 'deny default'],
    ['roles: [writer, reader]', 'allow a'],
    ['roles: writer', 'deny default'],
    ['servers: BANK', 'deny default'],
    ['tools: GET_*', 'deny default'],
    ['callers: agent, when: "caller.name == \'agent\'"', 'allow a'],
  ])('%s', (matchers, expected) => expect(judge(`  - { allow: a, ${matchers} }`)).toBe(expected))
})

describe('shadow', () => {
  test('a rule in shadow decides nothing by its cost either', () => {
    const a = Array.from({ length: 50_000 }, (_, i) => i)
    const yaml =
      '  - { deny: d, mode: shadow, when: "args.a.exists(x, x < 0)" }\n  - { allow: a, when: "args.n == 1" }'
    expect(judge(yaml, target(), { a, n: 1 })).toBe('allow a (d)')
  })
  test('a deny in shadow refuses nothing and is noted', () => {
    expect(judge('  - { deny: d, mode: shadow, when: "args.n > 1" }', target(), { n: 5 })).toBe(
      'allow default (d)',
    )
    expect(judge('  - { deny: d, mode: shadow }\n  - { deny: e }')).toBe('deny e (d)')
  })
  test('an allow in shadow lets nothing pass, and what it would leave to the default is noted', () => {
    expect(judge('  - { allow: a, mode: shadow, tools: get_* }')).toBe('allow default')
    expect(judge('  - { allow: a, mode: shadow, tools: get_* }', target('drop'))).toBe(
      'allow default (default)',
    )
    expect(judge('  - { allow: b, tools: drop }\n  - { allow: a, mode: shadow }', target('x'))).toBe(
      'deny default',
    )
  })
})

test('a server is there for whom a call to it may pass, by the hour where rules go by it', () => {
  const at = (hour: number) => particulars({}, new Date(Date.UTC(2026, 0, 5, hour)))
  const reaches = (yaml: string, now = 12, who = caller()) =>
    rulesOf(yaml).forCaller(who, null).reaches('bank', at(now))
  expect(reaches('  - { allow: a, servers: other }')).toBe(false)
  expect(reaches('  - { allow: a, tools: get_*, when: "args.x > 1" }')).toBe(true)
  expect(reaches('  - { deny: d, servers: bank }')).toBe(false)
  expect(reaches('  - { deny: d, servers: bank, tools: x }')).toBe(true)
  expect(reaches('  - { deny: d, servers: bank, when: "now.hour(\'UTC\') < 8" }', 7)).toBe(false)
  expect(reaches('  - { deny: d, servers: bank, when: "now.hour(\'UTC\') < 8" }', 8)).toBe(true)
  expect(reaches("  - { allow: a, when: \"server == 'bank' && caller.team == 'ops'\" }")).toBe(false)
})

describe('the config says what is wrong with rules, and where', () => {
  const problems = (yaml: string): string => {
    try {
      parseConfig(yaml, '/w/weir.yaml', {})
    } catch (error) {
      return (error as ConfigError).message
    }
    return ''
  }
  test.each([
    ['rules:\n  - { when: "true" }', 'rules[0]: a rule has either `allow` or `deny`'],
    ['rules:\n  - { allow: a, deny: b }', 'rules[0]: a rule has either'],
    ['rules:\n  - { allow: a }\n  - { deny: a }', 'weir.yaml:3:7 rules[1].deny: rules[0] has the same name'],
    ['rules:\n  - { deny: default }', 'is what the record says where no rule decided'],
    [
      'rules:\n  - deny: a\n    when: "tool.nam == \'x\'"',
      'weir.yaml:3:11 rules[0].when: cannot be judged (No such key: nam)',
    ],
    ['rules:\n  - { deny: a, tool: x }', 'did you mean `tools`'],
  ])('%s', (yaml, message) => expect(problems(yaml)).toContain(message))
  test('a pattern that fits nothing is a warning', () => {
    const yaml = 'servers: { bank: { url: "http://x/mcp" } }\nrules:\n  - { deny: a, servers: bnak }'
    expect(parseConfig(yaml, '/w/weir.yaml', {}).warnings).toContain(
      'rules[0].servers: bnak fits none that is configured',
    )
  })
})
