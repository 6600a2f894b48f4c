/** The outcome of an answer: text, parse, what it says; and its keyed hash. */
import { readAnswer } from '../../proxy/mcp/answer.ts'
import { answerText, capture, newCall } from './fixtures.ts'
import { micro, report } from './measure.ts'

const small = Buffer.from(answerText())
const large = Buffer.from(answerText(100_000))
const fresh = () => newCall('legacy', 0)
micro('readAnswer, 787 B', () => readAnswer(fresh(), small.toString()), {
  stage: 'outcome',
  target_ns: 1000,
  must_ns: 3000,
})
micro('readAnswer, 100 KB', () => readAnswer(fresh(), large.toString()))
micro('hash of the result, 787 B', () => capture.digestBytes(small), { stage: 'outcome' })
micro('hash of the result, 100 KB', () => capture.digestBytes(large))
report()
