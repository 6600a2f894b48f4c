/**
 * What a wrapped call must be told by, found in the text of a line: ids, tokens, versions. Pure.
 * Ids are compared as JSON text, so that 1 and "1" differ and spellings of the same string do not.
 */

const ID = String.raw`("(?:[^"\\]|\\.)*"|-?\d+)`
// At the top level only: an id within the result must not match.
const ID_FIRST = new RegExp(String.raw`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*${ID}\s*,`)
const ID_LAST = new RegExp(String.raw`[{,]\s*"id"\s*:\s*${ID}\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)
const METHOD = /[{,]\s*"method"\s*:\s*"([^"\\]{1,256})"/
const TOOL = /"params"\s*:\s*\{\s*"name"\s*:\s*"([^"\\]{1,256})"/
const HEAD_CHARS = 1024
const TAIL_CHARS = 256

/** One spelling for every id. `raw` is JSON text. */
const canonical = (raw: string): string => (raw.startsWith('"') ? JSON.stringify(JSON.parse(raw)) : raw)

/** The id of a message of which only the ends are known; '' when it is not there. */
export function idTextNear(head: string, tail: string): string {
  const raw = ID_FIRST.exec(head)?.[1] ?? ID_LAST.exec(tail)?.[1]
  return raw === undefined ? '' : canonical(raw)
}

/** The id of an answer as JSON text; '' when it has none. Large answers are not parsed for it when it stands at an end. */
export function idText(text: string): string {
  const near = idTextNear(text.slice(0, HEAD_CHARS), text.slice(-TAIL_CHARS))
  if (near !== '') return near
  const id = parsed<{ id?: unknown }>(text)?.id
  return typeof id === 'string' || typeof id === 'number' ? JSON.stringify(id) : ''
}

/** A request of which only the ends are known; null when it is none, or cannot be told. */
export function requestNear(head: string, tail: string): { id: string; method: string; tool: string } | null {
  const id = idTextNear(head, tail)
  const method = (METHOD.exec(head) ?? METHOD.exec(tail))?.[1]
  if (id === '' || method === undefined) return null
  return { id, method, tool: (method === 'tools/call' && TOOL.exec(head)?.[1]) || '' }
}

/** The revision an answer to initialize chose, '' when it says none. */
export function negotiated(text: string): string {
  const version = parsed<{ result?: { protocolVersion?: unknown } }>(text)?.result?.protocolVersion
  return typeof version === 'string' ? version.slice(0, 32) : ''
}

/** JSON text of the token a progress notification comes under; '' for every other message. */
export function progressTokenOf(text: string): string {
  if (!text.includes('"notifications/progress"')) return ''
  const message = parsed<{ method?: unknown; params?: { progressToken?: unknown } }>(text)
  const token = message?.method === 'notifications/progress' ? message.params?.progressToken : undefined
  return token === undefined ? '' : JSON.stringify(token)
}

function parsed<T>(text: string): T | null {
  try {
    return JSON.parse(text) as T
  } catch {
    return null
  }
}
