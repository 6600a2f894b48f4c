/**
 * Masking of secrets and personal data in what may be kept: captured payloads and error texts.
 * Patterns lean towards masking too much: a lost detail in a log is cheaper than a leaked key.
 * Invariant: time grows with the length of the text, whatever the text; so a run is only ever tried from its start.
 */
import { hash } from 'node:crypto'
import type { REDACTIONS } from '../../config/schema.ts'
import { flat } from './flat.ts'

type Redaction = (typeof REDACTIONS)[number]
type Rule = { pattern: RegExp; mask?: (match: string) => string }

const luhn = (digits: string): boolean => {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    let d = digits.charCodeAt(digits.length - 1 - i) - 48
    if (i % 2 === 1) d = d > 4 ? d * 2 - 9 : d * 2
    sum += d
  }
  return sum % 10 === 0
}

/** A card may stand beside other numbers (its expiry, an amount): every row of digit groups is looked at. */
function maskCards(match: string): string {
  const groups = match.split(/([ -])/)
  for (let from = 0; from < groups.length; from += 2) {
    let digits = ''
    for (let to = from; to < groups.length && digits.length < 19; to += 2) {
      digits += groups[to]
      if (digits.length >= 13 && digits.length <= 19 && luhn(digits)) {
        const separator = groups[to + 1] ?? ''
        const rest = groups.slice(to + 2).join('')
        return `${groups.slice(0, from).join('')}[card]${separator}${rest.length < 13 ? rest : maskCards(rest)}`
      }
    }
  }
  return match
}

const KEY =
  '(?:password|passwd|passphrase|pwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|token|authorization|credential|cookie)s?'
/** What stands between a name and its value in JSON, in JSON inside JSON, in YAML and in a query. */
const IS = String.raw`(?:\\{0,3}["'])?\s{0,4}[:=]\s{0,4}\\{0,3}`
const plainWord = /\s[A-Za-z]?[a-z]{1,12}$/

const RULES: Record<Redaction, readonly Rule[]> = {
  email: [{ pattern: /(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+/g }],
  card: [{ pattern: /\b\d(?:[ -]?\d){12,40}\b/g, mask: maskCards }],
  iban: [{ pattern: /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b/g }],
  secret: [
    { pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g },
    { pattern: /\beyJ[A-Za-z0-9_-]{5,300}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g },
    {
      pattern:
        /\b(?:sk|pk|rk|ghp|gho|ghu|ghs|ghr|glpat|xox[abprs]|AKIA|ASIA|AIza|npm|hf|weir)[-_]?[A-Za-z0-9_-]{16,}/g,
    },
    { pattern: /\bbearer\s+[A-Za-z0-9._~+/=-]{8,}/gi },
    {
      // "token provided" is a sentence, not a token.
      pattern: /\b(?:basic|token)\s+[A-Za-z0-9._~+/=-]{8,}/gi,
      mask: (m) => (plainWord.test(m) ? m : '[secret]'),
    },
    {
      pattern: new RegExp(`(?<=(?:authorization|cookie)s?${IS}["']?)[^\\s"'}\\\\][^\\r\\n"'}\\\\]{2,}`, 'gi'),
    },
    { pattern: new RegExp(`(?<=${KEY}${IS}")[^"\\\\]+(?:\\\\[^"][^"\\\\]*)*`, 'gi') },
    { pattern: new RegExp(`(?<=${KEY}${IS}')[^'\\\\]+(?:\\\\[^'][^'\\\\]*)*`, 'gi') },
    { pattern: new RegExp(`(?<=${KEY}${IS})[^\\s"',;}&\\\\]{3,}`, 'gi') },
    { pattern: /(?<=:\/\/)[^\s/"]+(?=@)/g },
    {
      pattern: /(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{40,}={0,2}/g,
      mask: (m) => (/\d/.test(m) && /[A-Za-z]/.test(m) ? '[secret]' : m),
    },
  ],
  phone: [{ pattern: /(?<![\w.])\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}\b/g }],
  ip: [{ pattern: /\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b/g }],
}

/** A secret as it looks in plain text, inside JSON, and inside a URL. */
const forms = (secret: string): string[] => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  encodeURIComponent(secret.toWellFormed()),
]

export type Redactor = (text: string) => string

/** Compiles the chosen redactions and the literal secrets of the config into one function. */
export function makeRedactor(kinds: readonly Redaction[], secrets: readonly string[] = []): Redactor {
  // The secret kind goes first: a password may look like an address.
  const ordered = [...kinds].sort((a, b) => Number(b === 'secret') - Number(a === 'secret'))
  const rules = ordered.flatMap((kind) =>
    RULES[kind].map(({ pattern, mask }) => ({ pattern, mask: mask ?? ((): string => `[${kind}]`) })),
  )
  // The longest first: one secret may begin with another.
  const literals = [...new Set(secrets.filter((s) => s.length >= 4).flatMap(forms))].sort(
    (a, b) => b.length - a.length,
  )
  return (text) => {
    let out = text
    for (const literal of literals) if (out.includes(literal)) out = out.replaceAll(literal, '[secret]')
    for (const { pattern, mask } of rules) out = out.replace(pattern, mask)
    return out
  }
}

const ERROR_MAX_CHARS = 300
/** How far beyond a cut is looked, so that a secret across it is seen whole. */
const CUT_SLACK_CHARS = 4096
const WORD_MAX_CHARS = 1024

/** Masks at most `max` characters of a text. What was cut is cut after masking: half a secret matches no pattern. */
export function redactCut(redact: Redactor, text: string, max: number): string {
  if (text.length <= max) return redact(text)
  const end = max + CUT_SLACK_CHARS
  // The last word of what is looked at may itself be half a secret.
  return redact(text.slice(0, text.length <= end ? text.length : wordEnd(text, end))).slice(0, max)
}

/** Where the last whole word before `end` ends. By hand: a pattern would try every run of the text up to its end. */
function wordEnd(text: string, end: number): number {
  let at = end
  while (at > end - WORD_MAX_CHARS && !/\s/.test(text.charAt(at - 1))) at--
  return at
}

/** An error text as it may be stored: one line, masked, cut. */
export const redactError = (redact: Redactor, text: string): string =>
  redactCut(
    redact,
    text
      .slice(0, ERROR_MAX_CHARS + 2 * CUT_SLACK_CHARS)
      .replace(/\s+/g, ' ')
      .trim(),
    ERROR_MAX_CHARS,
  ).slice(0, ERROR_MAX_CHARS)

/** Equal causes, equal fingerprint: ids, numbers, quoted words and paths are taken out before hashing. 16 hex digits. */
export function fingerprint(error_type: string, text: string): string {
  const normal = text
    .toLowerCase()
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '#')
    .replace(/https?:\/\/\S+/g, '<url>')
    .replace(/(["'`])(?:(?!\1).){0,200}\1/g, '<q>')
    .replace(/(?:\/[\w.@%+-]+){2,}/g, '<path>')
    .replace(/\b0x[0-9a-f]+\b|\b(?=[a-f]*\d)[0-9a-f]{8,}\b/g, '#')
    .replace(/\d+(?:\.\d+)?/g, '#')
    .replace(/\s+/g, ' ')
  return flat(hash('sha256', `${error_type}\n${normal}`), 16)
}
