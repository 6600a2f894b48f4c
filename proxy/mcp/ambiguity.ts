/**
 * JSON that two readers may read differently: a key twice (readers take the first or the last), or a key of the protocol in
 * another case (some readers do not tell them apart). Where a message is judged by one reader and obeyed by another, such a message
 * says one thing to each. Pure. Works on text that JSON.parse has accepted.
 */
import type { Message } from '../call.ts'
import { isRecord } from './json.ts'

const OF_MESSAGE = new Set(['jsonrpc', 'id', 'method', 'params', 'result', 'error'])
const OF_PARAMS = new Set(['name', 'arguments', 'uri', 'ref', 'cursor', '_meta', 'notifications'])

/** What of a message is ambiguous, in words without values; null when all readers agree. */
export function ambiguityIn(text: string, message: Message): string | null {
  const shape =
    strayCase(message, OF_MESSAGE) ??
    strayCase(message.params, OF_PARAMS) ??
    sameButCase(message.params?.arguments)
  if (shape !== null) return shape
  // Written out again it is the same text only when no key was there twice: by far the cheapest way to know.
  if (writtenOut(message) === text) return null
  return hasKeyTwice(text) ? 'a key is there twice' : null
}

function writtenOut(message: Message): string | null {
  try {
    return JSON.stringify(message)
  } catch {
    return null
  }
}

function strayCase(value: unknown, known: ReadonlySet<string>): string | null {
  if (!isRecord(value)) return null
  for (const key of Object.keys(value))
    if (!known.has(key) && key.length < 20 && known.has(folded(key)))
      return 'a key of the protocol is in another case'
  return null
}

/** Two arguments that some readers take for one. */
function sameButCase(value: unknown): string | null {
  if (!isRecord(value)) return null
  const keys = Object.keys(value)
  return new Set(keys.map(folded)).size < keys.length ? 'two arguments differ only in case' : null
}

/** Letters that some readers take for one: with the Kelvin sign and the long s, which Go folds too. */
const folded = (key: string): string => key.toLowerCase().replaceAll('\u017f', 's')

const QUOTE = 34
const BACKSLASH = 92

/** Whether any object of a JSON text has a key twice. Linear in the text. */
function hasKeyTwice(text: string): boolean {
  const open: (Set<string> | null)[] = []
  let i = 0
  while (i < text.length) {
    const c = text.charCodeAt(i)
    if (c === QUOTE) {
      let end = i
      do {
        end = text.indexOf('"', end + 1)
        if (end < 0) return false
      } while (isEscaped(text, end))
      let next = end + 1
      while (text.charCodeAt(next) <= 32) next++
      const keys = open.at(-1)
      if (keys && text.charCodeAt(next) === 58) {
        const raw = text.slice(i + 1, end)
        const key = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw
        if (keys.has(key)) return true
        keys.add(key)
      }
      i = next
      continue
    }
    if (c === 123) open.push(new Set())
    else if (c === 91) open.push(null)
    else if (c === 125 || c === 93) open.pop()
    i++
  }
  return false
}

function isEscaped(text: string, quote: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++
  return backslashes % 2 === 1
}
