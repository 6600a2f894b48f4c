/** Admission and identity: Host and Origin, SHA-256 of the key, lookup, expiry. */
import { admit } from '../../proxy/stages/admit.ts'
import { identify } from '../../proxy/stages/identify.ts'
import { config, newCall, ring } from './fixtures.ts'
import { micro, report } from './measure.ts'

const admission = admit(config)
const identity = identify(ring)
const call = newCall('legacy', 0)
micro('admit: Host and Origin', () => admission.before(call), { stage: 'identify' })
micro('identify: hash, lookup, expiry', () => identity.before(call), {
  stage: 'identify',
  target_ns: 500,
  must_ns: 1000,
})
report()
