/** Refuses messages that say one thing to Weir and may say another to a server: what is judged has to be what is obeyed. */
import { WeirError } from '../errors.ts'
import { ambiguityIn } from '../mcp/ambiguity.ts'
import type { Stage } from '../pipeline.ts'

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
  },
}
