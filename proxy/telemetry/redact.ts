/**
 * Masking of secrets and personal data in what may be kept: captured payloads and error texts.
 * Patterns lean towards masking too much: a lost detail in a log is cheaper than a leaked key.
 */
import { hash } from 'node:crypto'
import type { REDACTIONS } from '../../config/schema.ts'
import { flat } from './flat.ts'

type Redaction = (typeof REDACTIONS)[number]
type Rule = { pattern: RegExp; keep?: (match: string) => boolean }

const luhn = (digits: string): boolean => {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    let d = digits.charCodeAt(digits.length - 1 - i) - 48
    if (i % 2 === 1) d = d > 4 ? d * 2 - 9 : d * 2
    sum += d
  }
  return sum % 10 === 0
}

const RULES: Record<Redaction, readonly Rule[]> = {
  email: [{ pattern: /[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+/g }],
  card: [{ pattern: /\b\d(?:[ -]?\d){12,18}\b/g, keep: (m) => !luhn(m.replace(/\D/g, '')) }],
  iban: [{ pattern: /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b/g }],
  secret: [
    { pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g },
    { pattern: /\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g },
    { pattern: /\b(?:sk|pk|rk|ghp|gho|ghu|ghs|ghr|glpat|xox[abprs]|AKIA|ASIA|AIza|npm|hf|weir)[-_]?[A-Za-z0-9_-]{16,}/g },
    { pattern: /\b(?:bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{8,}/gi },
    { pattern: /(?<=["']?(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|authorization|credential|cookie)s?["']?\s{0,4}[:=]\s{0,4}["']?)[^\s"',;}&]{3,}/gi },
    { pattern: /(?<=:\/\/)[^\s/:@"]+:[^\s/@"]+(?=@)/g },
    { pattern: /\b(?=[A-Za-z0-9+/_-]*\d)(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{40,}={0,2}/g },
  ],
  phone: [{ pattern: /(?<![\w.])\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}\b/g }],
  ip: [{ pattern: /\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b/g }],
}

export type Redactor = (text: string) => string

/** Compiles the chosen redactions and the literal secrets of the config into one function. */
export function makeRedactor(kinds: readonly Redaction[], secrets: readonly string[] = []): Redactor {
  const rules = kinds.flatMap((kind) => RULES[kind].map((rule) => ({ ...rule, mask: `[${kind}]` })))
  const literals = secrets.filter((s) => s.length >= 4)
  return (text) => {
    let out = text
    for (const literal of literals) if (out.includes(literal)) out = out.replaceAll(literal, '[secret]')
    for (const { pattern, keep, mask } of rules)
      out = keep ? out.replace(pattern, (m) => (keep(m) ? m : mask)) : out.replace(pattern, mask)
    return out
  }
}

const ERROR_MAX_CHARS = 300

/** An error text as it may be stored: one line, masked, cut. */
export const redactError = (redact: Redactor, text: string): string =>
  redact(text.slice(0, 4 * ERROR_MAX_CHARS).replace(/\s+/g, ' ').trim()).slice(0, ERROR_MAX_CHARS)

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
