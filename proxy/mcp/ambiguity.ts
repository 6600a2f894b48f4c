/**
 * JSON that two readers may read differently: a key twice (readers take the first or the last), or a word of the protocol in
 * another case (some readers do not tell them apart). Where a message is judged by one reader and obeyed by another, such a message
 * says one thing to each. Pure. Works on text that JSON.parse has accepted.
 */
import type { Message } from '../call.ts'
import { isRecord } from './json.ts'

/** Words by their folded form. */
const words = (...all: string[]): ReadonlyMap<string, string> =>
  new Map(all.map((word) => [word.toLowerCase(), word]))
const OF_MESSAGE = words('jsonrpc', 'id', 'method', 'params', 'result', 'error')
const OF_PARAMS = words('name', 'arguments', 'uri', 'ref', 'cursor', '_meta', 'notifications')
const OF_REF = words('type', 'name', 'uri')
const OF_NOTIFICATIONS = words('resourceSubscriptions')
/** Methods that are judged, or counted, by what they name. */
const METHODS = words(
  'tools/call',
  'prompts/get',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'completion/complete',
  'subscriptions/listen',
)
const WORD_CHARS_MAX = 25

/** What of a message is ambiguous, in words without values; null when all readers agree. */
export function ambiguityIn(text: string, message: Message): string | null {
  const shape =
    strayMethod(message.method) ??
    strayCase(message, OF_MESSAGE) ??
    strayCase(message.params, OF_PARAMS) ??
    strayCase(message.params?.ref, OF_REF) ??
    strayCase(message.params?.notifications, OF_NOTIFICATIONS) ??
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

/** A method that is one of the protocol but for its case or space around it: judged as none, it may be obeyed as that one. */
function strayMethod(method: unknown): string | null {
  if (typeof method !== 'string' || METHODS.get(method) === method) return null
  return METHODS.has(folded(method.trim())) ? 'a method of the protocol is in another case' : null
}

function strayCase(value: unknown, known: ReadonlyMap<string, string>): string | null {
  if (!isRecord(value)) return null
  for (const key of Object.keys(value)) {
    if (known.get(key) === key || key.length > WORD_CHARS_MAX) continue
    const meant = known.get(folded(key))
    if (meant !== undefined && meant !== key) return 'a key of the protocol is in another case'
  }
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
