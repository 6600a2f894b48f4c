/** The sessions a worker remembers: their places, by caller and in all, and who has to give one up. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { WeirError } from '../../../proxy/errors.ts'
import type { Session } from '../../../proxy/identity/session-id.ts'
import { introductionOf, RoofSession, RoofSessions } from '../../../proxy/roof/session.ts'

const IDLE_MS = 60_000

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }))
afterEach(() => void vi.useRealTimers())

let count = 0
function open(caller: string): RoofSession {
  const session: Session = {
    handle: `handle-${count++}`,
    caller,
    server: '',
    upstream_id: '',
    owner: 'w1',
    client_name: '',
    client_version: '',
    protocol_version: '2025-11-25',
    capabilities: '{}',
  }
  return new RoofSession(session, introductionOf(session), new Map(), true)
}
/** Opens one and returns its handle, or what refused it. */
function add(sessions: RoofSessions, caller: string): string {
  const roof = open(caller)
  try {
    sessions.add(roof)
    return roof.session.handle
  } catch (error) {
    return (error as WeirError).code
  }
}

test('one too many is refused, and nobody loses a place for it', () => {
  const sessions = new RoofSessions(100, IDLE_MS, 2)
  const [first, second] = [add(sessions, 'alice'), add(sessions, 'alice')]
  const other = add(sessions, 'bob')
  for (let i = 0; i < 200; i++) expect(add(sessions, 'alice')).toBe('sessions_exhausted')
  for (const handle of [first, second, other]) expect(sessions.get(handle)).not.toBeNull()
  expect(add(sessions, 'carol')).toMatch(/^handle/)
})

test('one that ended gives back one place, however often it ends', () => {
  const sessions = new RoofSessions(100, IDLE_MS, 2)
  const first = add(sessions, 'alice')
  add(sessions, 'alice')
  sessions.end(first)
  sessions.end(first)
  expect(add(sessions, 'alice')).toMatch(/^handle/)
  expect(add(sessions, 'alice')).toBe('sessions_exhausted')
})

test('an idle one gives its place up when another is asked for; a busy one does not', () => {
  const sessions = new RoofSessions(100, IDLE_MS, 2)
  const busy = open('alice')
  sessions.add(busy)
  busy.open.set('1', 'stub')
  const idle = add(sessions, 'alice')
  vi.setSystemTime(Date.now() + IDLE_MS + 1)
  expect(add(sessions, 'alice')).toMatch(/^handle/)
  expect(sessions.get(idle)).toBeNull()
  expect(sessions.get(busy.session.handle)).toBe(busy)
  expect(add(sessions, 'alice')).toBe('sessions_exhausted')
})

test('one that comes back needs a place like a new one', () => {
  const sessions = new RoofSessions(100, IDLE_MS, 1)
  const first = open('alice')
  sessions.add(first)
  vi.setSystemTime(Date.now() + IDLE_MS + 1)
  expect(add(sessions, 'alice')).toMatch(/^handle/)
  expect(() => sessions.add(first)).toThrow('sessions_exhausted')
})

test('what the worker gives up in all gives its place back too', () => {
  const sessions = new RoofSessions(2, IDLE_MS, 2)
  const first = add(sessions, 'alice')
  add(sessions, 'bob')
  add(sessions, 'carol')
  expect(sessions.get(first)).toBeNull()
  expect([add(sessions, 'alice'), add(sessions, 'alice')].every((h) => h.startsWith('handle'))).toBe(true)
})
