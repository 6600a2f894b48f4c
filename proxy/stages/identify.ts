/** Who calls. Before the body is read: strangers cost us no memory. */
import { isLoopback } from '../../config/address.ts'
import { WeirError } from '../errors.ts'
import { identify as identifyKey, type KeyRing } from '../identity/identity.ts'
import type { Stage } from '../pipeline.ts'

export const identify = (ring: KeyRing): Stage => ({
  name: 'identify',
  why: 'everything after it is decided and recorded by who calls',
  needs: 'head',
  before(call) {
    const identity = identifyKey(
      ring,
      call.req.headers.authorization,
      isLoopback(call.peer_address),
      Date.now(),
    )
    if (!identity) throw new WeirError('unauthenticated')
    call.identity = identity
  },
})
