/**
 * Regular expressions that people write into silences and receivers: a subset whose matching time is bounded, so that no
 * pattern can hold the collector up. Always anchored at both ends, as in Prometheus. Knows nothing of alerts.
 */

export const PATTERN_MAX = 200
/** Longest text a pattern is tried on. */
export const TEXT_MAX = 256
/** Each repetition of no fixed length multiplies the worst case by the length of the text, each `?` doubles it. */
const ENDLESS_MAX = 2
const OPTIONAL_MAX = 2
const REPEAT_MAX = 100

type Group = { repeats: boolean; alternates: boolean }

/** What is wrong with a pattern, in words; null when it may be used. */
export function patternProblem(pattern: string): string | null {
  if (pattern.length > PATTERN_MAX) return `is longer than ${PATTERN_MAX} characters`
  const groups: Group[] = [{ repeats: false, alternates: false }]
  let closed: Group | null = null
  let endless = 0
  let optional = 0
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]!
    const before = closed
    closed = null
    if (c === '\\') {
      const next = pattern[++i]
      if (next !== undefined && /[1-9kpPuxcbB]/.test(next)) return `has \\${next}, which is not allowed here`
    } else if (c === '[') {
      const end = classEnd(pattern, i)
      if (end < 0) return 'has a [ without its ]'
      i = end
    } else if (c === '(') {
      if (pattern[i + 1] === '?' && pattern[i + 2] !== ':') return 'has a (? group, which is not allowed here'
      if (pattern[i + 1] === '?') i += 2
      groups.push({ repeats: false, alternates: false })
    } else if (c === ')') {
      if (groups.length < 2) return 'has a ) without its ('
      closed = groups.pop()!
      if (closed.repeats) groups.at(-1)!.repeats = true
    } else if (c === '|') {
      groups.at(-1)!.alternates = true
      // Alternatives of the whole pattern are tried one after the other: each has the bound to itself.
      if (groups.length === 1) endless = optional = 0
    } else if (c === '*' || c === '+' || c === '?' || c === '{') {
      const [, least = '', comma, most = ''] = /^\{(\d+)(,?)(\d*)\}/.exec(pattern.slice(i)) ?? []
      if (c === '{' && least === '') return 'has a { that is no repetition'
      if (Math.max(Number(least), Number(most)) > REPEAT_MAX) return `repeats more than ${REPEAT_MAX} times`
      const isEndless = c === '*' || c === '+' || (comma === ',' && most !== least)
      if (isEndless && ++endless > ENDLESS_MAX)
        return `has more than ${ENDLESS_MAX} repetitions of no fixed length`
      if (c === '?' && ++optional > OPTIONAL_MAX) return `has more than ${OPTIONAL_MAX} question marks`
      if (c !== '?' && before && (before.repeats || before.alternates))
        return 'repeats a group that itself repeats or has alternatives'
      groups.at(-1)!.repeats = true
      if (c === '{') i = pattern.indexOf('}', i)
    }
  }
  if (groups.length > 1) return 'has a ( without its )'
  try {
    new RegExp(`^(?:${pattern})$`, 'u')
  } catch {
    return 'is not a regular expression'
  }
  return null
}

/** Index of the `]` that ends the class at `start`; -1 when there is none. */
function classEnd(pattern: string, start: number): number {
  for (let i = start + 1; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++
    else if (pattern[i] === ']') return i
  }
  return -1
}

/** The pattern ready for use. Throws what `patternProblem` says. */
export function compilePattern(pattern: string): (text: string) => boolean {
  const problem = patternProblem(pattern)
  if (problem !== null) throw new Error(`the pattern ${problem}`)
  const compiled = new RegExp(`^(?:${pattern})$`, 'u')
  return (text) => compiled.test(text.slice(0, TEXT_MAX))
}
