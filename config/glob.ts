/** Patterns with `*` for any text, as prices and capture rules use them. Pure. */

/** Whether a text fits a pattern cut at its wildcards (`pattern.split('*')`). Linear: the text may come from a stranger. */
export function fits(pattern: readonly string[], text: string): boolean {
  const first = pattern[0]!
  const last = pattern[pattern.length - 1]!
  if (pattern.length === 1) return text === first
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  let at = first.length
  for (const part of pattern.slice(1, -1)) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= text.length - last.length
}

/** Whether a text fits one of the patterns, as a config writes them. */
export const fitsOne = (patterns: readonly string[], text: string): boolean =>
  patterns.some((pattern) => fits(pattern.split('*'), text))

/** Whether there is a text that fits both patterns. Quadratic in their lengths: for patterns of a config only. */
export function overlap(a: string, b: string): boolean {
  const known = new Map<number, boolean>()
  const meet = (i: number, j: number): boolean => {
    if (i === a.length && j === b.length) return true
    const key = i * (b.length + 1) + j
    const seen = known.get(key)
    if (seen !== undefined) return seen
    const found =
      (a[i] === '*' && (meet(i + 1, j) || (j < b.length && meet(i, j + 1)))) ||
      (b[j] === '*' && (meet(i, j + 1) || (i < a.length && meet(i + 1, j)))) ||
      (i < a.length && j < b.length && a[i] === b[j] && a[i] !== '*' && meet(i + 1, j + 1))
    known.set(key, found)
    return found
  }
  return meet(0, 0)
}
