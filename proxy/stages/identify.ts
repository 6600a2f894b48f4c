/** Who calls. Before the body is read: strangers cost us no memory. */
import type { Socket } from 'node:net'
import { isLoopback } from '../../config/address.ts'
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import { type Identity, identify as identifyKey, type KeyRing } from '../identity/identity.ts'
import type { Stage } from '../pipeline.ts'

/** What a connection showed last. The credential is not kept longer than the connection it came by. */
type Shown = { authorization: string; identity: Identity }

function take(call: Call, identity: Identity): void {
  call.identity = identity
  if (identity.tags) call.tags = identity.tags
}

export function identify(ring: KeyRing): Stage {
  const shown = new WeakMap<Socket, Shown>()
  return {
    name: 'identify',
    why: 'everything after it is decided and recorded by who calls',
    needs: 'head',
    before(call) {
      const { authorization } = call.req.headers
      const last = shown.get(call.req.socket)
      // Hashing the same key for every call of a connection would cost more than the rest of the stage.
      if (last && last.authorization === authorization && Date.now() < last.identity.expires_ms) {
        take(call, last.identity)
        return
      }
      const identity = identifyKey(ring, authorization, isLoopback(call.peer_address), Date.now())
      if (!identity) throw new WeirError('unauthenticated')
      take(call, identity)
      if (authorization !== undefined && !ring.isOpen) shown.set(call.req.socket, { authorization, identity })
    },
  }
}
