/**
 * Handles: the words of a text that look like ids, paths, cursors or states, as keyed hashes. What one call's result held and
 * a later call's arguments use ties the two together (inferred-runs.ts). Knows nothing of runs. The words themselves are not kept.
 */

const TEXT_MAX_BYTES = 8_192
const WORD_MIN_CHARS = 6
const WORD_MAX_CHARS = 512
/** Numbers shorter than this are amounts and counts more often than ids. */
const NUMBER_MIN_DIGITS = 6

const LETTER = 1
const DIGIT = 2
const SLASH = 4
const MARK = 8
/** Letters that stand in dates and numbers too. */
const WEAK = 16
const BACKSLASH = 92

/** Kind of every byte; 0 divides words, and so does what is not ASCII. */
const KIND = new Uint8Array(256)
for (let c = 0; c < 128; c++) {
  const char = String.fromCharCode(c)
  if (/[TZe]/.test(char)) KIND[c] = WEAK
  else if (/[A-Za-z_]/.test(char)) KIND[c] = LETTER
  else if (/[0-9]/.test(char)) KIND[c] = DIGIT
  else if (char === '/') KIND[c] = SLASH
  else if (/[-.:+=~%@]/.test(char)) KIND[c] = MARK
}

/** The text that is being read: bytes are read several times as fast as the characters of a string. */
const bytes = Buffer.allocUnsafeSlow(TEXT_MAX_BYTES)

/** 53 bits of a word, keyed by `seed`: they meet by chance once in 10^15. Not for what must resist an attacker; never stored. */
function hashOf(from: number, to: number, seed: number): number {
  let low = 0x9e3779b9 ^ seed
  let high = 0x85ebca6b ^ Math.imul(seed, 0x27d4eb2f)
  for (let i = from; i < to; i++) {
    const code = bytes[i]!
    low = Math.imul(low ^ code, 0x01000193)
    high = Math.imul(high ^ code, 0x5bd1e995)
    high ^= high >>> 15
  }
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b) ^ high
  high = Math.imul(high ^ (high >>> 13), 0xc2b2ae35) ^ low
  return (high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0)
}

/** Whether a word of these kinds is one that two agents do not use by chance. Dates, versions, amounts and plain words are. */
function isHandle(chars: number, kinds: number, slashes: number): boolean {
  if (chars < WORD_MIN_CHARS) return false
  if ((kinds & DIGIT) === 0) return slashes >= 2 && (kinds & LETTER) !== 0
  return (kinds & LETTER) !== 0 || (kinds === DIGIT && chars >= NUMBER_MIN_DIGITS)
}

/**
 * Hashes of the handles in JSON text, at most `max`, in order; only the first 8192 bytes are read. Escapes within it divide words
 * whatever their depth, so a result that carries JSON as text gives the same handles.
 */
export function handlesOf(text: string, seed: number, max: number): number[] {
  const found: number[] = []
  const end = bytes.write(text)
  let at = 0
  while (at < end) {
    const code = bytes[at]!
    let kind = KIND[code]!
    if (kind === 0 || kind === MARK) {
      at++
      if (code !== BACKSLASH) continue
      while (at < end && bytes[at] === BACKSLASH) at++
      at++
      continue
    }
    const from = at
    let kinds = 0
    let slashes = 0
    do {
      kinds |= kind
      if (kind === SLASH) slashes++
      if (++at === end) break
      kind = KIND[bytes[at]!]!
    } while (kind !== 0)
    if (at - from < WORD_MIN_CHARS) continue
    let to = at
    while (KIND[bytes[to - 1]!] === MARK) to--
    // What was a mark only at the end says nothing of the number before it.
    if (to < at && kinds === (DIGIT | MARK) && onlyDigits(from, to)) kinds = DIGIT
    if (!isHandle(to - from, kinds, slashes)) continue
    found.push(hashOf(from, Math.min(to, from + WORD_MAX_CHARS), seed ^ (to - from)))
    if (found.length === max) break
  }
  return found
}

function onlyDigits(from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (KIND[bytes[i]!] !== DIGIT) return false
  return true
}

/** Seed of an installation's hashes, from its secret (hex digits). */
export const handleSeed = (secret: string): number => Number.parseInt(secret.slice(0, 8), 16) | 0
