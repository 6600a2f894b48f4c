/**
 * A server's questions as they stand on the wire: requests and withdrawals in a stream (legacy), and the entries of an
 * `input_required` result (modern). Pure: text in, what it asks out. Nearly every message is told apart without a parse.
 * Source: MCP 2025-11-25, sampling, elicitation, roots, cancellation; 2026-07-28, multi round-trip requests.
 */

/** `id`: JSON text of the request's id. `params`: their JSON text, '' when there are none or they were not read. */
export type Asked = { what: 'asked'; id: string; method: string; params: string; bytes: number }
export type Withdrawn = { what: 'withdrawn'; id: string }

/** How most of what a server tells begins: nothing that concerns a question. */
const TELLS = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"method"\s*:\s*"notifications\/(?!cancelled")/
const WITHDRAWS = 'notifications/cancelled'
/** Entries of one `input_required` result that are looked at. */
const INPUTS_MAX = 256

/** More of an id is not kept: the server chooses it, and a question is remembered. */
const ID_MAX_CHARS = 256

const isId = (id: unknown): id is string | number => typeof id === 'string' || typeof id === 'number'

/** JSON text of an id, cut. Both sides of a question go by it. */
export const idText = (id: unknown): string =>
  JSON.stringify(typeof id === 'string' ? id.slice(0, ID_MAX_CHARS) : id)

/** JSON text of a value that JSON.parse has made; '' when there is none, or it is nested too deep to write. */
function textOf(value: unknown): string {
  if (value === undefined) return ''
  try {
    return JSON.stringify(value)
  } catch {
    return ''
  }
}

/** What a message of a server asks or takes back; null for everything else. */
export function hear(json: string): Asked | Withdrawn | null {
  if (TELLS.test(json) || !json.includes('"method"')) return null
  if (!json.includes('"id"') && !json.includes(WITHDRAWS)) return null
  let message: { id?: unknown; method?: unknown; params?: { requestId?: unknown } | null } | null
  try {
    message = JSON.parse(json)
  } catch {
    return null
  }
  if (typeof message?.method !== 'string') return null
  const { id, method, params } = message
  if (isId(id))
    return {
      what: 'asked',
      id: idText(id),
      method,
      params: textOf(params),
      bytes: Buffer.byteLength(json),
    }
  if (id !== undefined || method !== WITHDRAWS || !isId(params?.requestId)) return null
  return { what: 'withdrawn', id: idText(params.requestId) }
}

const ID = String.raw`"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)`
const HEAD =
  /^\s*\{((?:\s*"(?:jsonrpc|id)"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?\d+)\s*,)*)\s*"method"\s*:\s*("(?:[^"\\]|\\.)*")((?:\s*,\s*"(?:jsonrpc|id)"\s*:\s*(?:"(?:[^"\\]|\\.)*"|-?\d+))*)/
const ANY_ID = new RegExp(ID)
/** An id after the params, where some SDKs write it. */
const TAIL_ID = new RegExp(String.raw`[,}\]"]\s*,\s*${ID}\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)
const TAIL_CHARS = 400

/**
 * As `hear`, of an event too large to be held: how it began and how it ended. Its params are not read, so what stands behind
 * them is only found where SDKs write it: at the very end.
 */
export function hearEnds(head: Buffer, tail: Buffer, bytes: number): Asked | null {
  const begun = head.toString('latin1')
  const at = begun.search(/(?:^|[\r\n])data:/)
  const found = at < 0 ? null : HEAD.exec(begun.slice(begun.indexOf(':', at) + 1))
  if (!found) return null
  const id =
    ANY_ID.exec(found[1]!)?.[1] ??
    ANY_ID.exec(found[3]!)?.[1] ??
    TAIL_ID.exec(tail.toString('latin1').trimEnd().slice(-TAIL_CHARS))?.[1]
  if (id === undefined) return null
  try {
    return {
      what: 'asked',
      id: idText(JSON.parse(id)),
      method: JSON.parse(found[2]!) as string,
      params: '',
      bytes,
    }
  } catch {
    return null
  }
}

/** The questions an `input_required` result holds, by key; `id` is the key as JSON text. */
export function inputRequests(text: string): Asked[] {
  let requests: unknown
  try {
    requests = (JSON.parse(text) as { result?: { inputRequests?: unknown } }).result?.inputRequests
  } catch {
    return []
  }
  if (typeof requests !== 'object' || requests === null) return []
  return Object.entries(requests as Record<string, { method?: unknown; params?: unknown } | null>)
    .slice(0, INPUTS_MAX)
    .map(([key, request]) => ({
      what: 'asked',
      id: idText(key),
      method: typeof request?.method === 'string' ? request.method : '',
      params: textOf(request?.params),
      bytes: Buffer.byteLength(textOf(request)),
    }))
}
