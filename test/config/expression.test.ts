import { describe, expect, test } from 'vitest'
import {
  argumentsOf,
  ask,
  compileExpression,
  ExpressionError,
  Failure,
  settle,
  uses,
  type Variable,
} from '../../config/expression.ts'
import * as facts from '../../config/rule-facts.ts'
import { fillPurse, WORK_MAX } from '../../config/rule-functions.ts'

const FACTS: facts.Facts = {
  caller: new facts.CallerFacts({
    name: 'agent',
    team: 'research',
    project: '',
    principal: 'agent#1',
    auth_method: 'api_key',
    roles: ['rm'],
    tags: { desk: 'fx' },
  }),
  server: 'bank',
  method: 'tools/call',
  tool: new facts.ToolFacts('bank', 'transfer', facts.UNANNOTATED),
  prompt: facts.NO_PROMPT,
  resource: facts.NO_RESOURCE,
  args: { amount: 5000, tags: ['a', 'b'], note: 'wire 1', deep: { er: { x: 1 } }, nothing: null },
  args_bytes: 100,
  client: new facts.ClientFacts('agent-kit', '1.4.2'),
  now: new Date('2026-03-29T01:30:00Z'),
}
function answer(text: string, more: Partial<facts.Facts> = {}, unknown: Variable[] | null = null) {
  fillPurse(WORK_MAX)
  return ask(compileExpression(text), { ...FACTS, ...more }, unknown && new Set(unknown))
}

describe('what a condition may say', () => {
  test.each([
    ["tool.name == 'transfer' && args.amount > 1000", true],
    ['args.amount in [1, 5000] && args.amount == 5000 && args.amount * 2 > 9999', true],
    ["'rm' in caller.roles && caller.tags.desk == 'fx'", true],
    ["args.tags.exists(t, t == 'b') && !args.tags.all(t, t == 'b')", true],
    ['has(args.deep.er.x) && !has(args.deep.er.y) && !has(args.other)', true],
    ["args.note.matches('^wire [0-9]+$') && args.note.contains('ire') && size(args.note) == 6", true],
    ['tool.annotations.destructive && !tool.annotations.read_only', true],
    ["client.version.atLeast('1.4') && !client.version.atLeast('1.5')", true],
    ['args.nothing == null', true],
    ["args.missing == 'x' || true", true],
    ["false && args.missing == 'x'", false],
  ])('%s', (text, expected) => expect(answer(text)).toBe(expected))

  test('hours and days are those of the zone, over a change of its clocks and whatever zone the machine is in', () => {
    expect(answer("now.hour('Europe/Berlin') == 3 && now.weekday('Europe/Berlin') == 7")).toBe(true)
    expect(answer("now.hour('Europe/Berlin') == 1", { now: new Date('2026-03-29T00:59:59Z') })).toBe(true)
    expect(
      answer("now.time('America/New_York') == '21:30' && now.date('America/New_York') == '2026-03-28'"),
    ).toBe(true)
    expect(answer("now.hour('Asia/Kathmandu') == 7 && now.minute('Asia/Kathmandu') == 15")).toBe(true)
    expect(answer("now.hour('Europe/Berlin') == 0", { now: new Date('2026-06-30T22:00:00Z') })).toBe(true)
    expect(answer("now < timestamp('2027-01-01T00:00:00Z')")).toBe(true)
  })

  test('letters beyond ASCII are no other letters: the Kelvin sign is no k', () => {
    expect(answer("args.x.lowerAscii() == 'k'", { args: { x: '\u212a' } })).toBe(false)
    expect(answer("args.x.lowerAscii() == 'kelvin'", { args: { x: 'KELVIN' } })).toBe(true)
  })

  test.each([
    ['tool.annotations.read_only', true],
    ["tool['annotations'].read_only", true],
    ['[tool].exists(t, t.annotations.destructive)', true],
    ["tool.name == 'transfer' && tool.server == 'bank'", false],
  ])('%s depends on what the server says of the tool: %s', (text, depends) => {
    expect(uses(compileExpression(text), new Set(['annotations']))).toBe(depends)
  })

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'args.%s is only there when it was sent',
    (name) => {
      expect(answer(`has(args.${name})`)).toBe(false)
      expect(answer(`args['${name}'] == 'x'`)).toBeInstanceOf(Failure)
    },
  )
})

describe('what a condition may not say is refused when the config loads, with what to write instead', () => {
  test.each([
    ["caller.taem == 'x'", 'No such key: taem'],
    ["user.name == 'x'", 'user'],
    ['tool.name', 'gives string instead of true or false'],
    ['args.amount >', 'is not a condition'],
    ["now.hour('Europe/Berln') == 3", "there is no time zone 'Europe/Berln'"],
    ['now.hour(args.zone) == 3', 'needs a time zone that is written out'],
    ["now.getHours('UTC') == 3", 'calls getHours, which rules do not have'],
    ['args.a.matches(args.b)', 'takes a pattern that is written out'],
    ["args.a.matches('(')", 'is not a regular expression'],
    ["args.a.matches('(a)\\\\1')", 'is not a regular expression'],
    ["client.version.atLeast('new')", 'takes a version that is written out'],
    ['cel.bind(x, 1, x == 1)', 'calls bind'],
    ['duration(args.x) > duration("1h")', 'duration takes a text that is written out'],
    ['bytes(args.x).size() > 1', 'calls bytes'],
    ['tool.name == 1', 'cannot be judged'],
  ])('%s', (text, message) => {
    expect(() => compileExpression(text)).toThrow(ExpressionError)
    expect(() => compileExpression(text)).toThrow(message)
  })
})

describe('bombs', () => {
  test('an expression too long, too deep, or with too many parts is refused when the config loads', () => {
    expect(() => compileExpression(`args.a == '${'x'.repeat(5000)}'`)).toThrow('is longer than')
    expect(() => compileExpression(`${'('.repeat(200)}true${')'.repeat(200)}`)).toThrow('is not a condition')
    expect(() => compileExpression(Array.from({ length: 400 }, () => 'args.a').join(' == '))).toThrow(
      'is not a condition',
    )
    expect(() => compileExpression(`args.a in [${'1,'.repeat(500)}1]`)).toThrow('is not a condition')
    expect(() => compileExpression(`${'!'.repeat(3000)}true`)).toThrow(ExpressionError)
  })
  test('a regular expression that would backtrack for ever is linear, one that grows when written out is refused', () => {
    expect(
      answer("args.x.matches('^(a+)+$')", { args: { x: `${'a'.repeat(5000)}b` }, args_bytes: 5001 }),
    ).toBe(false)
    expect(() => compileExpression("args.x.matches('((a{100}){100}){100}')")).toThrow('regular expression')
    expect(() => compileExpression("args.x.matches('(a{1000}){1000}')")).toThrow('regular expression')
    expect(() => compileExpression(`args.x.matches('${'(a|b)*'.repeat(200)}')`)).toThrow('longer than 500')
  })
  test('loops within loops within loops are refused, and loops over long lists end with the work they may cost', () => {
    expect(() => compileExpression('args.a.all(x, args.a.all(y, args.a.all(z, z == x)))')).toThrow(
      'levels deep',
    )
    const a = Array.from({ length: 50_000 }, (_, i) => i)
    const long = answer('args.a.all(x, args.a.all(y, x + y >= 0))', { args: { a }, args_bytes: 300_000 })
    expect(long).toBeInstanceOf(Failure)
    expect((long as Failure).why).toBe('it takes too much work')
    // An empty purse stays empty: nothing that comes after can make up for it.
    expect(
      answer('args.a.exists(x, args.a.exists(y, y == 1000000)) || true', {
        args: { a },
        args_bytes: 300_000,
      }),
    ).toBeInstanceOf(Failure)
  })
  test('a search for a long text in a long text ends with the work it may cost', () => {
    const [x, y] = ['a'.repeat(2_000_000), `${'a'.repeat(900_000)}b`]
    expect(answer('args.x.contains(args.y)', { args: { x, y }, args_bytes: 2_900_000 })).toBeInstanceOf(
      Failure,
    )
  })
  test('arguments nested deeper than the stack are a failure, not a crash', () => {
    let deep: unknown = 1
    for (let i = 0; i < 200_000; i++) deep = [deep]
    expect(answer('args.x == args.y', { args: { x: deep, y: [deep] } })).toBeInstanceOf(Failure)
    expect(answer('args.x > 1', { args: { x: deep } })).toBeInstanceOf(Failure)
  })
})

describe('what cannot be answered', () => {
  test('is a failure that names the part of the rule and no value', () => {
    for (const text of [
      'args.note > 5',
      'args.gone > 5',
      'args.tags[7] == 1',
      'int(args.note) > 1',
      'bool(args.note)',
      'args.note',
      'args.amount.x == 1',
    ]) {
      const failure = answer(text)
      expect(failure, text).toBeInstanceOf(Failure)
      expect(JSON.stringify(failure), text).not.toMatch(/wire|5000/)
      expect((failure as Failure).text).toBe(text)
    }
  })
  test('is not known while what it depends on is not', () => {
    expect(answer('args.amount > 1', {}, ['args'])).toBe(null)
    expect(answer("tool.name == 'other' && args.amount > 1", {}, ['args'])).toBe(false)
    expect(answer("tool.name == 'transfer' || args.amount > 1", {}, ['args'])).toBe(true)
    expect(answer('!(args.amount > 1)', {}, ['args'])).toBe(null)
    expect(answer("caller.tags.gone == 'x' && args.amount > 1", {}, ['args'])).toBe(null)
  })
  test('what is settled early says the same as what is asked late', () => {
    const open = new Set<Variable>(['args', 'now', 'client'])
    for (const text of [
      "caller.team == 'research' && tool.name == 'transfer' && args.amount > 1000",
      "caller.team == 'other' || args.amount > 1000",
      "!(caller.team == 'other') && now.hour('UTC') == 1",
      "caller.tags.gone == 'x' || args.amount > 1000",
      "caller.tags.gone == 'x' && args.amount > 100000",
      "(tool.name == 'x' || server == 'bank') && !(args.amount == 1 && method == 'tools/call')",
    ]) {
      const condition = compileExpression(text)
      fillPurse(WORK_MAX)
      expect(ask(settle(condition, { ...FACTS, args: {} }, open), FACTS), text).toEqual(ask(condition, FACTS))
    }
    expect(settle(compileExpression("caller.team == 'other' && args.amount > 1"), FACTS, open)).toEqual({
      op: 'value',
      value: false,
    })
  })
  test('names the arguments it looks at', () => {
    expect(argumentsOf(compileExpression("args.amount > 1 && args['to'] == 'x' || has(args.note)"))).toEqual([
      'amount',
      'to',
      'note',
    ])
  })
})
