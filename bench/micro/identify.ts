/** Admission and identity: Host and Origin, SHA-256 of the key, lookup, expiry. */
import { sha256Hex } from '../../config/key-text.ts'
import { identify as identifyKey, makeKeyRing } from '../../proxy/identity/identity.ts'
import { admit } from '../../proxy/stages/admit.ts'
import { identify } from '../../proxy/stages/identify.ts'
import { config, newCall, ring } from './fixtures.ts'
import { micro, report } from './measure.ts'

const admission = admit(config.http, config.listen[0]!.address)
const stage = identify(ring)
const call = newCall('legacy', 0)
micro('admit: Host and Origin', () => admission.before(call), { stage: 'identify' })
micro('identify: as its connection showed before', () => stage.before(call), { stage: 'identify' })
const { authorization } = call.req.headers
micro('identify: hash, lookup, expiry', () => identifyKey(ring, authorization, true, Date.now()), {
  stage: 'identify',
  target_ns: 500,
  must_ns: 1000,
})
const many = makeKeyRing(
  Object.fromEntries(
    Array.from({ length: 1000 }, (_, i) => [
      `caller-${i}`,
      { ...config.callers[Object.keys(config.callers)[0]!]!, keys: [{ sha256: sha256Hex(`key-${i}`) }] },
    ]),
  ),
)
micro('identify: hash, lookup, expiry; 1,000 callers', () =>
  identifyKey(many, 'Bearer key-999', true, Date.now()),
)
report()
