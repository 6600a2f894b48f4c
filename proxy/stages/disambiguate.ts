/** Refuses messages that say one thing to Weir and may say another to a server: what is judged has to be what is obeyed. */
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import { ambiguityIn } from '../mcp/ambiguity.ts'
import { NAME_SOURCE } from '../mcp/ladder.ts'
import { decodeHeaderValue } from '../mcp/param-headers.ts'
import type { Stage } from '../pipeline.ts'

/** A server, or something before it, may go by the headers: what they say has to be what is judged. */
function checkHeaders(call: Call): void {
  const { 'mcp-method': method, 'mcp-name': name } = call.req.headers
  if (method !== undefined && method !== call.method) throw new WeirError('header_mismatch', 'Mcp-Method')
  if (name === undefined) return
  const { params } = call.message!
  const ref = params?.ref as { name?: unknown; uri?: unknown } | undefined
  const source = NAME_SOURCE.get(call.method)
  const meant = source ? params?.[source] : (params?.uri ?? ref?.name ?? ref?.uri)
  if (decodeHeaderValue(String(name)) !== meant) throw new WeirError('header_mismatch', 'Mcp-Name')
}

export const disambiguate: Stage = {
  name: 'disambiguate',
  why: 'policy judges the message as it was read here: a server must not be able to read another one',
  needs: 'params',
  before(call) {
    // A server may well do what it is asked without an id; what is counted and judged are requests.
    if (call.kind === 'notification' && !call.method.startsWith('notifications/'))
      throw new WeirError('message_ambiguous', 'a request without an id')
    const ambiguity = call.message && ambiguityIn(call.text, call.message)
    if (ambiguity) throw new WeirError('message_ambiguous', ambiguity)
    checkHeaders(call)
  },
}
