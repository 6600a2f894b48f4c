import { describe, expect, test } from 'vitest'
import type { Channel, ChannelEnd } from '../../../proxy/host/channel.ts'
import { Log } from '../../../proxy/host/log.ts'
import type { Refusal } from '../../../proxy/host/refusal.ts'
import { idKey, namesOf, type OpenCall, Wire } from '../../../proxy/host/wire.ts'

/** A wire to nothing: what it writes is kept, `end` ends the child. */
function wired(): { wire: Wire; written: string[]; end: (end: ChannelEnd) => void } {
  const written: string[] = []
  const { promise, resolve } = Promise.withResolvers<ChannelEnd>()
  const child = {
    exited: promise,
    ended: null as ChannelEnd | null,
    write: (text: string) => written.push(text),
  }
  const events = { request() {}, notification() {}, undeliverable() {} }
  const end = (how: ChannelEnd): void => {
    child.ended = how
    resolve(how)
  }
  return {
    wire: new Wire('x', child as unknown as Channel, events, new Log('error', () => {})),
    written,
    end,
  }
}

function open(text: string): { call: OpenCall; settled: string[]; failed: Refusal[] } {
  const settled: string[] = []
  const failed: Refusal[] = []
  const call: OpenCall = {
    ...namesOf(text),
    wire_id: 0,
    method: 'x',
    owner: null,
    exchange: null,
    left_ms: 0,
    settle: (answer) => settled.push(answer),
    fail: (refusal) => failed.push(refusal),
  }
  return { call, settled, failed }
}

const CLOSED: ChannelEnd = { exit_code: 1, signal: null, error: null, asked: false, lived_ms: 5 }

test('an id is used once in the life of a child', () => {
  const { wire, written } = wired()
  const text = '{"jsonrpc":"2.0","id":7,"method":"x"}'
  for (let i = 0; i < 3; i++) {
    const { call } = open(text)
    wire.call(text, call)
    wire.cancel(call, 'why not')
  }
  const ids = written.filter((line) => line.includes('"x"')).map((line) => JSON.parse(line).id)
  expect(new Set(ids).size).toBe(3)
})

describe('an answer that is too long', () => {
  const text = '{"jsonrpc":"2.0","id":"mine","method":"x"}'
  test.each([
    ['by the id at its start', '{"jsonrpc":"2.0","id": 1 ,"result":{"a":"bbbb', 'bbbb"}}'],
    ['by the id at its end', '{"result":{"a":"bbbb', 'bbbb"},"jsonrpc":"2.0","id":1}'],
  ])('fails its call, found %s', (_name, head, tail) => {
    const { wire } = wired()
    const { call, failed } = open(text)
    wire.call(text, call)
    wire.overflow(head, tail, 1e8)
    expect(failed[0]!.text(call.id)).toContain('"id":"mine"')
    expect(failed[0]!.reason).toBe('answer_too_large')
    expect(wire.open.size).toBe(0)
  })

  test('of nobody known harms nobody', () => {
    const { wire } = wired()
    const { call, failed } = open(text)
    wire.call(text, call)
    wire.overflow('{"result":{"id":1,"a":"b', 'b"}}', 1e8)
    wire.overflow('xxxx', 'yyyy', 1e8)
    expect(failed).toEqual([])
    expect(wire.open.size).toBe(1)
  })
})

test('a call to a child that is gone fails at once', async () => {
  const { wire, end } = wired()
  const text = '{"jsonrpc":"2.0","id":1,"method":"x"}'
  const before = open(text)
  wire.call(text, before.call)
  end(CLOSED)
  await Promise.resolve()
  const after = open(text)
  wire.call(text, after.call)
  for (const { failed } of [before, after])
    expect(failed.map((refusal) => refusal.detail.exit_code)).toEqual([1])
  await expect(wire.ask('x', {}, 1000)).rejects.toMatchObject({ reason: 'upstream_closed' })
})

test('a question of the host itself is bounded in time', async () => {
  const { wire } = wired()
  await expect(wire.ask('server/discover', {}, 1)).rejects.toMatchObject({ http_status: 504 })
  expect(wire.open.size).toBe(0)
})

test('ids are told apart by type, not by spelling', () => {
  expect(idKey(1, '1')).toBe(idKey(1, '1.0'))
  expect(idKey(1, '1')).not.toBe(idKey('1', '"1"'))
  expect(idKey('A', '"A"')).toBe(idKey('A', '"\\u0041"'))
  expect(idKey(1e22, '10000000000000000000001')).not.toBe(idKey(1e22, '10000000000000000000002'))
})
