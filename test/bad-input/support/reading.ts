/** What a message is, told apart from Weir: for tests that send what nobody has looked at before. */

export type Reading =
  /** Nothing but whitespace. */
  | { kind: 'blank' }
  /** Not JSON, or not UTF-8. */
  | { kind: 'unreadable' }
  /** JSON, and no message; the id where one could be read, as JSON text. */
  | { kind: 'invalid'; id: string | null }
  | { kind: 'request'; id: string }
  | { kind: 'notification' }
  | { kind: 'response' }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function read(bytes: Buffer): Reading {
  let text: string
  let parsed: unknown
  try {
    text = utf8.decode(bytes)
    if (/^[\t\n\r ]*$/.test(text)) return { kind: 'blank' }
    parsed = JSON.parse(text)
  } catch {
    return { kind: 'unreadable' }
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    return { kind: 'invalid', id: null }
  const { id, method, jsonrpc, params, result, error } = parsed as Record<string, unknown>
  const isId = typeof id === 'string' || (typeof id === 'number' && Number.isInteger(id))
  const key = isId ? JSON.stringify(id) : null
  if (jsonrpc !== '2.0') return { kind: 'invalid', id: key }
  if (method === undefined)
    return key !== null && (result !== undefined || error !== undefined)
      ? { kind: 'response' }
      : { kind: 'invalid', id: key }
  if (typeof method !== 'string' || (id !== undefined && key === null)) return { kind: 'invalid', id: key }
  if (key === null) return { kind: 'notification' }
  if (params !== undefined && (typeof params !== 'object' || params === null))
    return { kind: 'invalid', id: key }
  return { kind: 'request', id: key }
}

export type Answered = { id?: unknown; result?: unknown; error?: { code: number; message: string } }

/** The id of an answer, as JSON text; undefined when it has none, or is none. */
export function idOf(text: string): string | undefined {
  try {
    const { id, result, error } = JSON.parse(text) as Answered
    return result === undefined && error === undefined ? undefined : JSON.stringify(id)
  } catch {
    return undefined
  }
}
