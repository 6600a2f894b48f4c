import { expect, test } from 'vitest'
import { compileMatchers, matcherText, parseMatcher } from '../../config/matchers.ts'
import { compilePattern, patternProblem } from '../../config/regexps.ts'

test.each([
  ['server=bank', { name: 'server', op: '=', value: 'bank' }],
  ['server="bank of \\"x\\""', { name: 'server', op: '=', value: 'bank of "x"' }],
  [' server != "" ', { name: 'server', op: '!=', value: '' }],
  ['tool=~"get_.*|list"', { name: 'tool', op: '=~', value: 'get_.*|list' }],
  ['tool!~a=b', { name: 'tool', op: '!~', value: 'a=b' }],
])('%s is read, and written so that it can be read again', (text, matcher) => {
  expect(parseMatcher(text)).toEqual(matcher)
  expect(parseMatcher(matcherText(parseMatcher(text)))).toEqual(matcher)
})

test.each([
  ['server', /not a matcher/],
  ['=x', /not a matcher/],
  ['1a=x', /names no label/],
  ['a-b=x', /names no label/],
  [`a=${'x'.repeat(300)}`, /longer than/],
  ['a=~"("', /without its \)/],
])('%s is refused, and why', (text, why) => {
  expect(() => parseMatcher(text)).toThrow(why)
})

test('operators, and labels that are not there', () => {
  const meets = (text: string, labels: Record<string, string>): boolean =>
    compileMatchers([parseMatcher(text)])(labels)
  expect(meets('a=x', { a: 'x' })).toBe(true)
  expect(meets('a=x', {})).toBe(false)
  expect(meets('a=""', {})).toBe(true)
  expect(meets('a!=x', {})).toBe(true)
  expect(meets('a=~"x|y"', { a: 'y' })).toBe(true)
  // Anchored at both ends, alternatives too.
  expect(meets('a=~"x|y"', { a: 'xy' })).toBe(false)
  expect(meets('a!~"x.*"', { a: 'xyz' })).toBe(false)
  expect(compileMatchers([])({ a: 'x' })).toBe(true)
  expect(compileMatchers([parseMatcher('a=x'), parseMatcher('b=y')])({ a: 'x', b: 'z' })).toBe(false)
})

test.each([
  '(a+)+',
  '(a|a)*',
  '(a*)*b',
  '(?=a)b',
  '(?<!a)b',
  '(?<n>a)',
  '(a)\\1',
  '.*a.*b.*c',
  'a{1,1000}',
  'a{',
  '[a',
  '(',
  ')',
  '*a',
  '((a+)b)+',
  '(?:a|b)+',
  '\\p{L}',
  'a'.repeat(201),
  '((?:a?){3})*',
  'a?a?a?aaa',
  'a{0,9}a{0,9}a{0,9}b',
])('the pattern %s is refused', (pattern) => {
  expect(patternProblem(pattern)).toBeTypeOf('string')
  expect(() => compilePattern(pattern)).toThrow(/the pattern/)
})

test.each([
  ['Slow.*', 'SlowBank', true],
  ['bank-[0-9]+', 'bank-17', true],
  ['bank-[0-9]+', 'bank-x', false],
  ['(prod|staging)-.*', 'staging-a', true],
  ['a{2,3}', 'aaaa', false],
  ['(?:ab){2}', 'abab', true],
  ['a\\.b', 'axb', false],
  ['\\d+|\\w*', '12', true],
  ['', '', true],
  ['.*a.*|.*b.*|.*c.*', 'xcx', true],
  ['[\\]]x', ']x', true],
])('the pattern %s on %s: %s', (pattern, text, expected) => {
  expect(compilePattern(pattern)(text)).toBe(expected)
})

test('the worst pattern that may be used on the longest text comes to an end', () => {
  // Would hang for good, were it not bounded; the test then runs into its time limit.
  expect(compilePattern('a?a?a*a*x|a?.?a*.*y')('a'.repeat(100_000))).toBe(false)
})
