/** Bytes to message: UTF-8 check, one parse, kind, era, client, target, arguments. */
import { understand } from '../../proxy/stages/understand.ts'
import { newCall, seal } from './fixtures.ts'
import { micro, report } from './measure.ts'

const stage = understand(seal)
for (const era of ['legacy', 'modern'] as const)
  micro(
    `understand, ${era}`,
    (i) => {
      const call = newCall(era, i)
      stage.before(call)
      return call
    },
    { stage: 'parse', target_ns: 2500, must_ns: 4000 },
  )
const body = newCall('legacy', 0).body
micro('JSON.parse of the body alone', () => JSON.parse(body.toString()))
report()
