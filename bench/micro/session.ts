/** Session ids: unsealed from the cache, and for the first time. */
import { SessionSeal } from '../../proxy/identity/session-id.ts'
import { seal, session, sessionIds } from './fixtures.ts'
import { micro, report } from './measure.ts'

const ids = sessionIds(20_000)
const known = ids[0]!
const other = new SessionSeal(Buffer.alloc(32, 1))
micro('unseal, known', () => seal.unseal(known), { stage: 'session', target_ns: 4000, must_ns: 10_000 })
// More ids than the cache holds, in turn: each is a miss.
micro('unseal, first seen', (i) => other.unseal(ids[i % ids.length]!), { stage: 'session' })
micro('seal', (i) => seal.seal(session(i)))
report()
