import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { beforeEach, expect, test } from 'vitest'
import { OpenStreams, SseStream } from '../../../proxy/host/sse-stream.ts'

/** A response whose reader can be made slow. */
class FakeResponse extends EventEmitter {
  written: string[] = []
  writableLength = 0
  destroyed = false
  closed = false
  isSlow = false
  writeHead(): void {}
  flushHeaders(): void {}
  write(text: string): boolean {
    this.written.push(text)
    if (this.isSlow) this.writableLength += text.length
    return !this.isSlow
  }
  end(): void {
    this.close()
  }
  destroy(): void {
    this.destroyed = true
    this.close()
  }
  close(): void {
    this.closed = true
    this.emit('close')
  }
}

let res: FakeResponse
let streams: OpenStreams
let holds: number
let stream: SseStream
beforeEach(() => {
  res = new FakeResponse()
  streams = new OpenStreams()
  holds = 0
  const valve = { hold: () => void holds++, release: () => void holds-- }
  stream = new SseStream(res as unknown as ServerResponse, streams, valve, {}, 0)
})

test('an idle stream gets a comment every 15 s, a busy one none', () => {
  streams.tick(14_999)
  expect(res.written).toEqual([])
  streams.tick(15_000)
  streams.tick(20_000)
  expect(res.written).toEqual([': keep-alive\n\n'])
  streams.tick(30_000)
  expect(res.written).toHaveLength(2)
})

test('a lagging reader holds the valve from 1 MiB on, until it has read', () => {
  res.isSlow = true
  stream.event('x'.repeat(500_000))
  expect(holds).toBe(0)
  for (let i = 0; i < 3; i++) stream.event('x'.repeat(500_000))
  expect(holds).toBe(1)
  res.emit('drain')
  expect(holds).toBe(0)
})

test('a reader that never reads again is cut off, and lets go', () => {
  res.isSlow = true
  stream.event('x'.repeat(2_000_000))
  const now = Date.now()
  streams.tick(now + 29_000)
  expect(res.destroyed).toBe(false)
  streams.tick(now + 31_000)
  expect([res.destroyed, holds, streams.size, stream.isOpen]).toEqual([true, 0, 0, false])
})

test('nothing is written after the end', () => {
  stream.end()
  stream.event('late')
  expect(res.written).toEqual([])
  expect(streams.size).toBe(0)
})
