import { expect, test } from 'vitest'
import { LineSplitter } from '../../../proxy/host/lines.ts'
import { LineRate } from '../../../proxy/host/log.ts'

function split(
  chunks: (string | Buffer)[],
  line_max_bytes = 1000,
): { lines: string[]; overflows: [string, string, number][] } {
  const lines: string[] = []
  const overflows: [string, string, number][] = []
  const splitter = new LineSplitter(line_max_bytes, {
    line: (text) => lines.push(text),
    overflow: (head, tail, bytes) => overflows.push([head, tail, bytes]),
  })
  for (const chunk of chunks) splitter.push(Buffer.from(chunk as string))
  splitter.end()
  return { lines, overflows }
}

test.each([
  ['several lines in one chunk', ['a\nb\nc\n'], ['a', 'b', 'c']],
  ['a line in several chunks', ['a', 'b', 'c\nd'], ['abc', 'd']],
  ['a newline of its own', ['abc', '\n', 'd\n'], ['abc', 'd']],
  ['empty lines', ['\n\na\n\n'], ['a']],
  ['a carriage return stays', ['a\r\n'], ['a\r']],
])('%s', (_name, chunks, lines) => {
  expect(split(chunks)).toEqual({ lines, overflows: [] })
})

test('a character cut in two by chunks survives', () => {
  const bytes = Buffer.from('"für"\n')
  expect(split([bytes.subarray(0, 3), bytes.subarray(3)]).lines).toEqual(['"für"'])
})

test('a line at the cap passes, one over it is dropped, the next one passes again', () => {
  expect(split([`${'x'.repeat(10)}\n`], 10).lines).toEqual(['x'.repeat(10)])
  const { lines, overflows } = split([`{"id":1${'x'.repeat(20)}`, 'y'.repeat(500), '"end"}\n', 'ok\n'], 10)
  expect(lines).toEqual(['ok'])
  expect(overflows).toHaveLength(1)
  const [head, tail, bytes] = overflows[0]!
  expect(head).toMatch(/^\{"id":1x+/)
  expect(tail).toMatch(/y"end"\}$/)
  expect(tail.length).toBeLessThanOrEqual(256)
  expect(bytes).toBe(533)
})

test('a flood of log lines is counted, not written', () => {
  let now = 1000
  const rate = new LineRate(2, () => now)
  expect([rate.admit(), rate.admit(), rate.admit(), rate.admit()]).toEqual([0, 0, -1, -1])
  now += 1000
  expect([rate.admit(), rate.admit()]).toEqual([2, 0])
})
