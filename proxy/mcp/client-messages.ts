/** Messages of a client, and answers to them, as far as one who passes them on must look at them. Pure. */
import { META } from './versions.ts'

export type Message = {
  jsonrpc?: unknown
  id?: unknown
  method?: unknown
  params?: Record<string, unknown>
  result?: Record<string, unknown>
  error?: unknown
}
export type Asked = { id: unknown; method: string }
export const UNREADABLE: Asked = { id: null, method: '' }

const isObject = (value: unknown): value is Message => value !== null && typeof value === 'object'
const asList = (parsed: unknown): unknown[] => (Array.isArray(parsed) ? parsed : [parsed])
export const asMessages = (parsed: unknown): Message[] => asList(parsed).filter(isObject)

/** The id of a message as JSON text. What is none (it may be of any depth) is as good as absent: answers say null then. */
export const keyOf = (id: unknown): string =>
  typeof id === 'string' || (typeof id === 'number' && Number.isInteger(id)) ? JSON.stringify(id) : 'null'

/** What must be answered: all but notifications and answers, so also what is no message. A list without entries is none. */
export function askedIn(parsed: unknown): Asked[] {
  const asked: Asked[] = []
  for (const one of Array.isArray(parsed) && parsed.length > 0 ? parsed : [parsed]) {
    const { jsonrpc, id, method, result, error } = isObject(one) ? one : {}
    const isCall = typeof method === 'string'
    const isAnswer = method === undefined && (result !== undefined || error !== undefined) && id !== undefined
    if (jsonrpc === '2.0' && (isAnswer || (isCall && id === undefined))) continue
    asked.push({ id: keyOf(id) === 'null' ? null : id, method: isCall ? method : '' })
  }
  return asked
}

/** What a header may hold as it stands; anything else would be refused by Node before it is sent. */
export const isHeaderText = (value: string): boolean => /^[\x20-\x7e]*$/.test(value)

/** The error that a JSON-RPC response holds; null for anything else. */
export function errorIn(text: string): object | null {
  try {
    const { jsonrpc, error } = JSON.parse(text) as { jsonrpc?: unknown; error?: { code?: unknown } }
    return jsonrpc === '2.0' && typeof error?.code === 'number' ? error : null
  } catch {
    return null
  }
}

/** Whether a message carries the envelope of the modern era. */
export function isModern(message: Message | undefined): boolean {
  const meta = message?.params?._meta as Record<string, unknown> | undefined
  return typeof meta?.[META.version] === 'string'
}

/** Where a broken stream goes on. */
export type Position = { id: string; retry_ms: number; breaks: number }
