/** URI templates (RFC 6570) as far as it takes to tell which URIs may come of one: an expression stands for any text. Pure. */

/** Longer ones find nothing. */
export const TEMPLATE_MAX_CHARS = 8192

/** What stands between the expressions of a template. */
export type Literals = readonly string[]

export const literalsOf = (template: string): Literals => template.split(/\{[^{}]*\}/)

/** Whether a URI may come of a template. Linear in the URI, whatever the template: both may come from a stranger. */
export function comesOf(literals: Literals, uri: string): boolean {
  const first = literals[0]!
  const last = literals[literals.length - 1]!
  if (!uri.startsWith(first) || !uri.endsWith(last)) return false
  if (literals.length === 1) return uri === first
  let at = first.length
  for (let i = 1; i < literals.length - 1; i++) {
    const found = uri.indexOf(literals[i]!, at)
    if (found < 0) return false
    at = found + literals[i]!.length
  }
  return at <= uri.length - last.length
}
