/** Server-sent events: cut into frames, data taken out, the response told from the rest. */
import { isResponse } from '../../proxy/mcp/answer.ts'
import { FrameSplitter, frameData } from '../../proxy/mcp/frames.ts'
import { answerText } from './fixtures.ts'
import { micro, report } from './measure.ts'

const note = (n: number): string =>
  `event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":${n},"total":3,"message":"step"}}\n\n`
const burst = Buffer.from(`${note(1)}${note(2)}event: message\ndata: ${answerText()}\n\n`)
let frames = 0
const sink = {
  frame(bytes: Buffer) {
    const data = frameData(bytes)
    if (data !== null && isResponse(data)) frames++
  },
  piece() {},
  lastPiece() {},
}
micro('split 3 frames in one chunk, read each', () => new FrameSplitter(sink).push(burst))
const half = [burst.subarray(0, 300), burst.subarray(300)] as const
micro('the same in two chunks', () => {
  const splitter = new FrameSplitter(sink)
  splitter.push(half[0])
  splitter.push(half[1])
  return frames
})
report()
