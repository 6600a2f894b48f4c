/**
 * Matchers of labels as Alertmanager writes them: `name="value"` with =, !=, =~ and !~. A label that is not there is ''.
 * Pure; used by the config, by silences and by the command line.
 */
import { compilePattern, patternProblem } from './regexps.ts'

export const OPERATORS = ['=', '!=', '=~', '!~'] as const
export type Matcher = { name: string; op: (typeof OPERATORS)[number]; value: string }
export type Labels = Readonly<Record<string, string>>

export const VALUE_MAX = 256
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]{0,63}$/
export const isLabelName = (name: string): boolean => LABEL.test(name)

/** Labels that Weir's own rules may set; rules of the config add theirs. */
export const KNOWN_LABELS = [
  'alertname',
  'severity',
  'kind',
  'figure',
  'server',
  'tool',
  'team',
  'project',
  'agent',
  'caller',
  'slo',
  'objective',
  'anomaly',
  'scope',
  'series',
  'budget',
  'period',
  'receiver',
] as const

/** `name op value`, the value with or without quotes. Throws an Error that says what is wrong. */
export function parseMatcher(text: string): Matcher {
  const [, name, op, rest] = /^\s*([^\s=!~"]+)\s*(=~|!~|!=|=)\s*(.*?)\s*$/s.exec(text) ?? []
  if (name === undefined) throw new Error('is not a matcher, for example severity="critical"')
  const value = /^".*"$/s.test(rest!) ? rest!.slice(1, -1).replaceAll(/\\(["\\])/g, '$1') : rest!
  const matcher = { name, op: op as Matcher['op'], value }
  const problem = matcherProblem(matcher)
  if (problem !== null) throw new Error(problem)
  return matcher
}

/** What is wrong with a matcher, in words; null when it may be used. */
export function matcherProblem({ name, op, value }: Matcher): string | null {
  if (!isLabelName(name)) return 'names no label, for example severity="critical"'
  if (!OPERATORS.includes(op)) return 'has no operator =, !=, =~ or !~, for example severity="critical"'
  if (value.length > VALUE_MAX)
    return `has a value longer than ${VALUE_MAX} characters, for example server="bank"`
  if (op === '=' || op === '!=') return null
  const problem = patternProblem(value)
  return problem === null ? null : `has a pattern that ${problem}, for example server=~"bank-.*"`
}

export const matcherText = ({ name, op, value }: Matcher): string =>
  `${name}${op}"${value.replaceAll(/["\\]/g, '\\$&')}"`

/** Whether labels meet all matchers; no matcher is met by everything. Throws on a pattern that may not be used. */
export function compileMatchers(matchers: readonly Matcher[]): (labels: Labels) => boolean {
  const tests = matchers.map(({ name, op, value }): ((labels: Labels) => boolean) => {
    const isMet = op === '=' || op === '!=' ? (text: string) => text === value : compilePattern(value)
    const wanted = op === '=' || op === '=~'
    return (labels) => isMet(labels[name] ?? '') === wanted
  })
  return (labels) => tests.every((test) => test(labels))
}
