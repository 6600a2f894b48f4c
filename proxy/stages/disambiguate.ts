/** Refuses messages that say one thing to Weir and may say another to a server: what is judged has to be what is obeyed. */
import { WeirError } from '../errors.ts'
import { ambiguityIn } from '../mcp/ambiguity.ts'
import type { Stage } from '../pipeline.ts'

export const disambiguate: Stage = {
  name: 'disambiguate',
  why: 'rules judge the message as it was read here: a server must not be able to read another one',
  needs: 'params',
  before(call) {
    const ambiguity = call.message && ambiguityIn(call.text, call.message)
    if (ambiguity) throw new WeirError('message_ambiguous', ambiguity)
  },
}
