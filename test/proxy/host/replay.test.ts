/** The bounds of what a session keeps of its streams. */
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { Replay, type ReplayStream } from '../../../proxy/host/replay.ts'
import { OpenStreams } from '../../../proxy/host/sse-stream.ts'

const streams = new OpenStreams()
function reader() {
  const written: string[] = []
  const res = Object.assign(new EventEmitter(), {
    writeHead() {},
    flushHeaders() {},
    write: (text: string) => written.push(text) > 0,
    end: () => res.emit('close'),
  })
  const valve = { hold() {}, release() {} }
  return { written, streams, valve, headers: {}, res: res as unknown as ServerResponse }
}
const begin = (replay: Replay): { stream: ReplayStream; id: string } => {
  const stream = replay.open()
  const first = reader()
  stream.read(first)
  stream.event('"first"')
  first.res.emit('close')
  return { stream, id: /^id: (.*)$/m.exec(first.written.at(-1)!)![1]! }
}
const dataOf = (written: string[]): string[] => written.flatMap((w) => /^data: (.+)$/m.exec(w)?.[1] ?? [])

test('many events push out the oldest, and the answer is still there', () => {
  const replay = new Replay('2025-06-18')
  const { stream, id } = begin(replay)
  for (let i = 0; i < 2000; i++) stream.event(`"${i}"`)
  stream.event('"answer"')
  stream.end()
  expect(replay.size.events).toBe(512)
  const again = reader()
  const found = replay.find(id)
  found.stream.read(again, found.seq)
  expect(dataOf(again.written).at(-1)).toBe('"answer"')
  expect(dataOf(again.written)).toHaveLength(512)
  replay.clear()
  expect([replay.size, streams.kept_bytes]).toEqual([{ streams: 0, events: 0, bytes: 0 }, 0])
})

test('bytes are bounded in a session; a stream without its answer is gone', () => {
  const replay = new Replay('2025-06-18')
  const { stream, id } = begin(replay)
  for (let i = 0; i < 10; i++) stream.event(`"${'x'.repeat(1_000_000)}"`)
  expect(replay.size.bytes).toBeLessThanOrEqual(4 * 1024 * 1024)
  stream.event(`"${'x'.repeat(5_000_000)}"`)
  stream.end()
  expect(() => replay.find(id)).toThrow(
    expect.objectContaining({ http_status: 400, reason: 'event_unknown' }),
  )
  replay.clear()
})

test('bytes are bounded in the host', () => {
  const all = Array.from({ length: 20 }, () => new Replay('2025-06-18'))
  for (const replay of all) {
    const { stream } = begin(replay)
    for (let i = 0; i < 4; i++) stream.event(`"${'x'.repeat(1_000_000)}"`)
  }
  expect(streams.kept_bytes).toBeLessThanOrEqual(64 * 1024 * 1024)
  expect(streams.kept_bytes).toBe(all.reduce((sum, replay) => sum + replay.size.bytes, 0))
  for (const replay of all) replay.clear()
  expect(streams.kept_bytes).toBe(0)
})

test('a stream is dropped a while after its end, and not before', () => {
  const replay = new Replay('2025-06-18')
  const [ended, open] = [begin(replay), begin(replay)]
  ended.stream.event('"answer"')
  ended.stream.end()
  replay.sweep(Date.now() + 299_000)
  expect(replay.find(ended.id).stream).toBe(ended.stream)
  replay.sweep(Date.now() + 301_000)
  expect(() => replay.find(ended.id)).toThrow()
  expect(replay.find(open.id).stream).toBe(open.stream)
  expect(replay.size.streams).toBe(1)
  replay.clear()
})
