import { describe, expect, test } from 'vitest'
import { FRAME_KEEP_BYTES, FrameSplitter, frameData, messageFrame } from '../../../proxy/mcp/frames.ts'

/** Frames (large ones put together) and what was left, of a stream cut at `at`. */
function split(stream: Buffer, at: readonly number[]): { frames: string[]; rest: string; bytes: Buffer } {
  const frames: string[] = []
  const all: Buffer[] = []
  let pieces: Buffer[] = []
  const splitter = new FrameSplitter({
    frame(bytes) {
      all.push(Buffer.from(bytes))
      frames.push(bytes.toString())
    },
    piece(bytes) {
      all.push(Buffer.from(bytes))
      pieces.push(Buffer.from(bytes))
    },
    lastPiece(bytes) {
      all.push(Buffer.from(bytes))
      frames.push(Buffer.concat([...pieces, bytes]).toString())
      pieces = []
    },
  })
  let from = 0
  for (const end of [...at, stream.length]) {
    splitter.push(stream.subarray(from, end))
    from = end
  }
  all.push(splitter.rest())
  return { frames, rest: splitter.rest().toString(), bytes: Buffer.concat(all) }
}

const STREAMS: Record<string, string[]> = {
  LF: ['event: message\ndata: {"a":1}\n\n', ': alive\n\n', 'data: é😀\n\n'],
  CRLF: ['id: 1\r\ndata:\r\n\r\n', 'data: {"a":1}\r\n\r\n', 'data: é😀\r\n\r\n'],
  CR: ['data: a\r\r', ': b\r\r', 'data: c\r\r'],
  'LF and CRLF': ['data: a\n\r\n', 'data: b\r\n\n', 'data: c\n\n'],
  'LF, then CR': ['data: a\n\r', 'data: b\r\n\r', 'data: c\n\n'],
  'CR, then LF': ['data: a\r\r', 'data: b\n\n', 'data: c\r\r', 'data: d\r\n\r\n'],
}

describe('the frames of a stream', () => {
  for (const [name, frames] of Object.entries(STREAMS)) {
    const stream = Buffer.from(frames.join(''))
    test(`${name}: the same wherever it is cut`, () => {
      for (let i = 0; i <= stream.length; i++)
        for (let j = i; j <= stream.length; j++) {
          const got = split(stream, [i, j])
          if (got.frames.length !== frames.length || got.frames.some((f, k) => f !== frames[k]))
            expect(got.frames, `cut at ${i} and ${j}`).toEqual(frames)
        }
      expect(split(stream, [...stream.keys()]).frames).toEqual(frames)
    })
  }
  test('what has no blank line yet is the rest', () => {
    expect(split(Buffer.from('data: a\n\ndata: b\n'), [3])).toMatchObject({
      frames: ['data: a\n\n'],
      rest: 'data: b\n',
    })
  })
  test('a large one passes in pieces, none lost, and those around it are whole', () => {
    for (const end of ['\n\n', '\r\n\r\n', '\r\r']) {
      const large = `data: ${'x'.repeat(3 * FRAME_KEEP_BYTES)}${end}`
      const frames = [`data: a${end}`, large, `data: b${end}`]
      const stream = Buffer.from(frames.join(''))
      for (const size of [1024, 65_536, 65_537, 300_001]) {
        const at = Array.from({ length: Math.floor(stream.length / size) }, (_, i) => (i + 1) * size)
        const got = split(stream, at)
        expect(got.bytes.equals(stream)).toBe(true)
        expect(got.frames.map((f) => f.length)).toEqual(frames.map((f) => f.length))
      }
    }
  })
  test('a large one that arrives whole is a frame like any other', () => {
    const large = `data: ${'x'.repeat(2 * FRAME_KEEP_BYTES)}\n\n`
    expect(split(Buffer.from(large), []).frames).toEqual([large])
  })
})

describe('the data of a frame', () => {
  const TABLE: [frame: string, data: string | null][] = [
    ['data: {"a":1}\n\n', '{"a":1}'],
    ['data:{"a":1}\n\n', '{"a":1}'],
    ['data:  two spaces\n\n', ' two spaces'],
    ['event: message\r\nid: 1\r\ndata: x\r\n\r\n', 'x'],
    ['data: x\rid: 1\r\r', 'x'],
    ['data:\n\n', ''],
    ['id: 1\n\n', null],
    [': data: no\n\n', null],
    ['metadata: no\n\n', null],
    ['data: a\ndata: b\ndata:\ndata:c\n\n', 'a\nb\n\nc'],
    ['data: a\r\nevent: message\r\ndata: b\r\n\r\n', 'a\nb'],
    ['data: a\rdata: b\r\r', 'a\nb'],
    ['data: u\u2028v\ndata: w\u2029\n\n', 'u\u2028v\nw\u2029'],
    ['data: x', 'x'],
    ['\ufeffdata: x\n\n', 'x'],
    ['id: data:1\ndata: y\n\n', 'y'],
  ]
  for (const [frame, data] of TABLE)
    test(JSON.stringify(frame), () => expect(frameData(Buffer.from(frame))).toBe(data))
  test('goes in and comes out', () =>
    expect(frameData(Buffer.from(messageFrame('{"x":"\\n"}')))).toBe('{"x":"\\n"}'))
})
