/** Writes trace context into `params._meta` of a message (MCP SEP-414) by splicing: no other byte changes. */
import type { Message } from '../call.ts'
import { insertMember, locate, replaceAt } from './splice.ts'

/** Top-level members before params that are plain scalars: the order every SDK writes. Ends at the brace of params. */
const HEAD = /^\s*\{(?:\s*"(?:jsonrpc|id|method)"\s*:\s*(?:"[^"\\]*"|-?\d+)\s*,)*\s*"params"\s*:\s*\{/

const openOfParams = (text: string): number => {
  const m = HEAD.exec(text)
  if (m) return m[0].length - 1
  return locate(text, ['params'])?.start ?? -1
}

/** The message text with our traceparent in `_meta`. `message` is the same text parsed. */
export function withTraceparent(text: string, message: Message, traceparent: string): string {
  const value = `"${traceparent}"`
  const params = message.params
  if (params === undefined) return insertMember(text, text.indexOf('{'), 'params', `{"_meta":{"traceparent":${value}}}`)
  if (typeof params !== 'object' || params === null || Array.isArray(params)) return text
  if (params._meta === undefined) {
    const open = openOfParams(text)
    return open < 0 ? text : insertMember(text, open, '_meta', `{"traceparent":${value}}`)
  }
  const meta = locate(text, ['params', '_meta'])
  if (!meta || text.charCodeAt(meta.start) !== 123) return text
  if (params._meta.traceparent === undefined) return insertMember(text, meta.start, 'traceparent', value)
  const old = locate(text, ['params', '_meta', 'traceparent'])
  return old ? replaceAt(text, old, value) : text
}
