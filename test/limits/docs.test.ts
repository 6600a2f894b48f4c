/** Examples of docs/limits.md are configs that load, and do what the page says. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { limitEntries } from '../../config/limit-book.ts'
import { ConfigError, parseConfig } from '../../config/load.ts'
import { inWords } from '../../limits/words.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/limits.md'), 'utf8')
const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text!)

test('the first example is these limits', () => {
  const { config, warnings } = parseConfig(examples[0]!, 'weir.yaml', {})
  expect(warnings).toEqual([])
  expect(limitEntries(config).map((entry) => `${entry.name}: ${inWords(entry)}, ${entry.mode}`)).toEqual([
    'per-caller: 10 calls a second, 20 at once, enforce',
    'per-caller: 5 calls at a time, enforce',
    'day: 100000 calls a day, enforce',
    'transfers: 6 calls a minute, 1 at once, enforce',
    'transfers: 50 calls a day, enforce',
    'research: 25 USD a day, enforce',
    'tighter: 2 calls a second, 2 at once, shadow',
    'budget:team:research:month: 400 USD a month, enforce',
    'budget:tool:search/deep_research:day: 25 USD a day, shadow',
  ])
})

test('the example of a fleet is valid', () => {
  const { config } = parseConfig(examples[1]!, 'weir.yaml', {})
  expect(config.limits_store.redis).toMatchObject({ fallback: 'local', share: 0.25, timeout_ms: 100 })
})

const problem = (text: string): string => {
  try {
    parseConfig(`servers: { bank: { url: "http://127.0.0.1:9/mcp" } }\n${text}`, 'weir.yaml', {})
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return ''
}

test.each([
  ['limits: [ { name: x } ]', /limits nothing\n.*rate: 10\/s/],
  ['limits: [ { name: x, rate: "10" } ]', /calls per second, minute or hour/],
  ['limits: [ { name: x, rate: 0/s } ]', /calls per second, minute or hour/],
  ['limits: [ { name: x, burst: 3, quota: 1/day } ]', /needs a rate/],
  ['limits: [ { name: x, quota: 5/year } ]', /hour, day, week or month/],
  ['limits: [ { name: x, spend_usd: "25" } ]', /25\/day/],
  ['limits: [ { name: x, spend_usd: cheap/day } ]', /not an amount of US dollars/],
  ['limits: [ { name: x, spend_usd: 10000000/month } ]', /above 9,000,000 USD/],
  ['limits: [ { name: x, quota: 1/day }, { name: x, quota: 2/day } ]', /is the name of limits\[0\] too/],
  ['limits: [ { name: x, quota: 1/day, servers: [bnak] } ]', /there is no server bnak/],
  ['limits: [ { name: x, quota: 1/day, per: [session] } ]', /per/],
  ['limits: [ { name: x, quota: 1/day, per: [caller, caller] } ]', /names one thing twice/],
  ['teams: { a: { budget_usd_per_month: 1, enforce: maybe } }', /expected true, false or shadow/],
  ['limits_store: { redis: { url: "http://127.0.0.1:6379" } }', /redis:\/\/ or rediss:\/\/ URL/],
])('%s is refused with its place and what to write', (text, expected) => {
  expect(problem(text)).toMatch(expected)
  expect(problem(text)).toMatch(/^weir\.yaml:2:/)
})

test('a password of Redis is in no problem that is told', () => {
  expect(
    problem('limits_store: { redis: { url: "redis://:hunter22@h:6379", timeout_ms: fast } }'),
  ).not.toContain('hunter22')
})
