/** The call object itself: one allocation with every field set. */
import { newCall } from './fixtures.ts'
import { micro, report } from './measure.ts'

micro('new Call', (i) => newCall('legacy', i))
report()
