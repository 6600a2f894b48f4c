/**
 * Whether a server is there at all for a caller. One of which it may use nothing is answered as a path that does not exist,
 * before the body is read, as that is.
 */
import { WeirError } from '../errors.ts'
import { type Gate, recordOutOfReach } from '../gate.ts'
import type { Stage } from '../pipeline.ts'

export const reach = (gate: Gate): Stage => ({
  name: 'reach',
  why: 'once it is known who calls: a server that is not theirs must look like none from the first byte on',
  needs: 'head',
  before(call) {
    const { server } = call.endpoint
    if (server === '' || gate.reaches(call.identity!, server)) return
    recordOutOfReach(call, server, 0)
    throw new WeirError('path_unknown')
  },
})
