/**
 * Writes trace context into `params._meta` of a message (MCP SEP-414) by splicing: no other byte changes. And reads it there
 * again, for hops over HTTP that know the message alone.
 */
import type { Message } from '../call.ts'
import { isHeaderText } from './client-messages.ts'
import { insertMember, locate, setValue } from './splice.ts'

/** Top-level members before params that are plain scalars: the order every SDK writes. Ends at the brace of params. */
const HEAD = /^\s*\{(?:\s*"(?:jsonrpc|id|method)"\s*:\s*(?:"[^"\\]*"|-?\d+)\s*,)*\s*"params"\s*:\s*\{/

const openOfParams = (text: string): number => {
  const m = HEAD.exec(text)
  // With the key twice the last one counts, so only a text that has it once can take the short way.
  if (m && text.indexOf('"params"', m[0].length) < 0) return m[0].length - 1
  return locate(text, ['params'])?.start ?? -1
}

/**
 * The message text with our traceparent in `_meta`, and the tracestate that belongs to it ('' for none).
 * `message` is the same text parsed. A message whose params or `_meta` is not an object is left as it is.
 */
export function withTraceparent(
  text: string,
  message: Message,
  traceparent: string,
  tracestate = '',
): string {
  const context = `"traceparent":"${traceparent}"${tracestate ? `,"tracestate":${JSON.stringify(tracestate)}` : ''}`
  const params = message.params
  if (params === undefined) return insertMember(text, text.indexOf('{'), 'params', `{"_meta":{${context}}}`)
  if (typeof params !== 'object' || params === null || Array.isArray(params)) return text
  if (params._meta === undefined) {
    const open = openOfParams(text)
    return open < 0 ? text : insertMember(text, open, '_meta', `{${context}}`)
  }
  const meta = locate(text, ['params', '_meta'])
  if (!meta || text.charCodeAt(meta.start) !== 123) return text
  const value = `"${traceparent}"`
  const isThere = params._meta.traceparent !== undefined
  const written = isThere
    ? setValue(text, ['params', '_meta', 'traceparent'], value)
    : insertMember(text, meta.start, 'traceparent', value)
  // A tracestate belongs to its traceparent: with ours another one would be false.
  if (params._meta.tracestate === tracestate || (params._meta.tracestate === undefined && tracestate === ''))
    return written
  return setValue(written, ['params', '_meta', 'tracestate'], JSON.stringify(tracestate))
}

/** The headers that say what a message's `_meta` says of its trace (W3C Trace Context). None when it says nothing. */
export function contextHeaders(meta: unknown): Record<string, string> {
  const { traceparent, tracestate } = (meta ?? {}) as { traceparent?: unknown; tracestate?: unknown }
  if (typeof traceparent !== 'string' || !isHeaderText(traceparent)) return {}
  const hasState = typeof tracestate === 'string' && isHeaderText(tracestate)
  return { traceparent, ...(hasState && { tracestate }) }
}
