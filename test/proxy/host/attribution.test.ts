import { describe, expect, test } from 'vitest'
import { isLogWanted, mostVerbose, placeOf } from '../../../proxy/host/attribution.ts'
import type { Exchange } from '../../../proxy/host/exchange.ts'
import type { ReplayStream } from '../../../proxy/host/replay.ts'
import { Session } from '../../../proxy/host/session.ts'
import type { OpenCall } from '../../../proxy/host/wire.ts'

const session = (principal: string, used_ms: number, hasStream = false): Session<null> => {
  const made = new Session(principal, '2025-11-25', null)
  made.used_ms = used_ms
  if (hasStream) made.stream = { isOpen: true } as ReplayStream
  return made
}
const addCall = (to: Session<null>, wire_id: number, isAlive = true): Exchange => {
  const exchange = { isAlive } as Exchange
  to.calls.set(`n${wire_id}`, { wire_id, exchange } as unknown as OpenCall)
  return exchange
}

describe('placeOf', () => {
  test('no sessions: nowhere', () => {
    expect(placeOf([])).toBeNull()
  })

  test('one call: its stream', () => {
    const [a, b] = [session('p', 1), session('p', 2, true)]
    const exchange = addCall(a, 1)
    expect(placeOf([a, b])).toEqual({ session: a, exchange })
  })

  test('calls of one session: the newest that is alive', () => {
    const a = session('p', 1)
    addCall(a, 1)
    const exchange = addCall(a, 2)
    addCall(a, 3, false)
    expect(placeOf([a])).toEqual({ session: a, exchange })
  })

  test('a call whose client left: the standalone stream of its session', () => {
    const [a, b] = [session('p', 1), session('p', 2, true)]
    addCall(a, 1, false)
    expect(placeOf([a, b])).toEqual({ session: a, exchange: null })
  })

  test('calls of several sessions of one principal: the newest of all', () => {
    const [a, b] = [session('p', 1), session('p', 2)]
    const exchange = addCall(a, 9)
    addCall(b, 8)
    expect(placeOf([a, b])).toEqual({ session: a, exchange })
    expect(placeOf([b, a])).toEqual({ session: a, exchange })
  })

  test('calls of several principals: nowhere', () => {
    const [a, b] = [session('p', 1), session('q', 2)]
    addCall(a, 1)
    addCall(b, 2)
    expect(placeOf([a, b])).toBeNull()
  })

  test('calls of one principal on a child of several: its stream', () => {
    const [a, b] = [session('p', 1), session('q', 2, true)]
    const exchange = addCall(a, 1)
    expect(placeOf([a, b])).toEqual({ session: a, exchange })
  })

  test('no calls: an open stream before the session used last', () => {
    const [a, b, c] = [session('p', 1, true), session('p', 2, true), session('p', 3)]
    expect(placeOf([a, b, c])).toEqual({ session: b, exchange: null })
    expect(placeOf([session('p', 1), c])).toEqual({ session: c, exchange: null })
  })

  test('no calls, several principals: nowhere', () => {
    expect(placeOf([session('p', 1, true), session('q', 2)])).toBeNull()
  })
})

test('the most verbose level is the least severe one asked for', () => {
  expect(mostVerbose(['error', null, 'info', 'warning'])).toBe('info')
  expect(mostVerbose([null])).toBeNull()
  expect(mostVerbose(['loud'])).toBeNull()
})

test('a log message is wanted when it is severe enough, or its level unknown', () => {
  expect(isLogWanted('info', 'warning')).toBe(false)
  expect(isLogWanted('error', 'warning')).toBe(true)
  expect(isLogWanted('debug', null)).toBe(true)
  expect(isLogWanted('loud', 'emergency')).toBe(true)
})
