/**
 * Finding and replacing single values in JSON text without touching any other byte.
 * A proxy must not re-serialise what it forwards: whitespace, big integers and duplicate keys would change.
 * Works on text that JSON.parse has accepted; never validates. With duplicate keys the last one counts, as in JSON.parse.
 */

/** Where a value stands: [start, end) in the text. */
export type Span = { start: number; end: number }

const QUOTE = 34
const BACKSLASH = 92

const isSpace = (c: number): boolean => c === 32 || c === 10 || c === 13 || c === 9

function skipSpace(text: string, i: number): number {
  while (isSpace(text.charCodeAt(i))) i++
  return i
}

/** Index after the string that opens at `i`. */
function skipString(text: string, i: number): number {
  let end = i
  for (;;) {
    end = text.indexOf('"', end + 1)
    if (end < 0) return text.length
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end + 1
  }
}

/** Index after the value that starts at `i`. */
function skipValue(text: string, i: number): number {
  const first = text.charCodeAt(i)
  if (first === QUOTE) return skipString(text, i)
  if (first !== 123 && first !== 91) {
    while (i < text.length) {
      const c = text.charCodeAt(i)
      if (c === 44 || c === 125 || c === 93 || isSpace(c)) return i
      i++
    }
    return i
  }
  // Character by character: a pattern would make a match object of every bracket, ten times the cost.
  let depth = 0
  while (i < text.length) {
    const c = text.charCodeAt(i)
    if (c === QUOTE) {
      i = skipString(text, i)
      continue
    }
    i++
    if (c === 123 || c === 91) depth++
    else if ((c === 125 || c === 93) && --depth === 0) return i
  }
  return i
}

/** Span of the value of `key` in the object that opens at `open`; null when the object has no such key. */
function member(text: string, open: number, key: string): Span | null {
  let found: Span | null = null
  let i = skipSpace(text, open + 1)
  while (text.charCodeAt(i) === QUOTE) {
    const keyEnd = skipString(text, i)
    const raw = text.slice(i + 1, keyEnd - 1)
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = skipValue(text, start)
    if (raw === key || (raw.includes('\\') && JSON.parse(`"${raw}"`) === key)) found = { start, end }
    i = skipSpace(text, end)
    if (text.charCodeAt(i) !== 44) break
    i = skipSpace(text, i + 1)
  }
  return found
}

/** Span of the value at a path of object keys; null when it is not there. Cost grows with the text before and inside it. */
export function locate(text: string, path: readonly string[]): Span | null {
  let span: Span = { start: skipSpace(text, 0), end: text.length }
  for (const key of path) {
    if (text.charCodeAt(span.start) !== 123) return null
    const next = member(text, span.start, key)
    if (!next) return null
    span = next
  }
  return span
}

/** Spans of the elements of the array that opens at `span`; null when it is none. */
export function elements(text: string, span: Span): Span[] | null {
  if (text.charCodeAt(span.start) !== 91) return null
  const found: Span[] = []
  let i = skipSpace(text, span.start + 1)
  while (i < span.end && text.charCodeAt(i) !== 93) {
    const end = skipValue(text, i)
    found.push({ start: i, end })
    i = skipSpace(text, end)
    if (text.charCodeAt(i) === 44) i = skipSpace(text, i + 1)
  }
  return found
}

/** The text with the value at `span` replaced by `json`. */
export const replaceAt = (text: string, span: Span, json: string): string =>
  text.slice(0, span.start) + json + text.slice(span.end)

/** The text with the value at `path` replaced; unchanged when there is none. */
export function replaceValue(text: string, path: readonly string[], json: string): string {
  const span = locate(text, path)
  return span ? replaceAt(text, span, json) : text
}

/** The text with `"key":json` as first member of the object that opens at `open`. The key must not be there already. */
export function insertMember(text: string, open: number, key: string, json: string): string {
  const empty = text.charCodeAt(skipSpace(text, open + 1)) === 125
  return `${text.slice(0, open + 1)}${JSON.stringify(key)}:${json}${empty ? '' : ','}${text.slice(open + 1)}`
}

/** The text without the member at `path`, however often it is there; unchanged when it is not. */
export function removeValue(text: string, path: readonly string[]): string {
  const parent = locate(text, path.slice(0, -1))
  if (!parent || text.charCodeAt(parent.start) !== 123) return text
  const value = member(text, parent.start, path.at(-1)!)
  if (!value) return text
  // Backwards over the colon and the key to where the member begins.
  let start = backOver(text, backOver(text, value.start) - 1)
  start = openQuoteBefore(text, start - 1)
  let end = skipSpace(text, value.end)
  if (text.charCodeAt(end) === 44) end = skipSpace(text, end + 1)
  else {
    const before = backOver(text, start)
    if (text.charCodeAt(before - 1) === 44) start = before - 1
    end = value.end
  }
  return removeValue(text.slice(0, start) + text.slice(end), path)
}

/** Index after the last character before `i` that is no whitespace. */
function backOver(text: string, i: number): number {
  while (isSpace(text.charCodeAt(i - 1))) i--
  return i
}

/** Index of the quote that opens the string whose closing quote is at `close`. */
function openQuoteBefore(text: string, close: number): number {
  for (let i = text.lastIndexOf('"', close - 1); ; i = text.lastIndexOf('"', i - 1)) {
    let backslashes = 0
    while (text.charCodeAt(i - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return i
  }
}

/** Sets the value at `path`, making the objects on the way that are missing. The root must be an object. */
export function setValue(text: string, path: readonly string[], json: string): string {
  for (let depth = path.length; depth > 0; depth--) {
    const span = locate(text, path.slice(0, depth))
    if (span && depth === path.length) return replaceAt(text, span, json)
    if (span && text.charCodeAt(span.start) === 123)
      return insertMember(text, span.start, path[depth]!, nest(path.slice(depth + 1), json))
    if (span) return replaceAt(text, span, nest(path.slice(depth), json))
  }
  return insertMember(text, skipSpace(text, 0), path[0]!, nest(path.slice(1), json))
}

const nest = (path: readonly string[], json: string): string =>
  path.reduceRight((inner, key) => `{${JSON.stringify(key)}:${inner}}`, json)
