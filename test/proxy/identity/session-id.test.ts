import { expect, test } from 'vitest'
import { type Session, SessionSeal } from '../../../proxy/identity/session-id.ts'

const session: Session = {
  handle: '0123456789abcdef0123456789abcdef',
  caller: 'agent',
  server: 'files',
  upstream_id: 'upstream "id" ✓',
  owner: 'w1',
  client_name: 'client',
  client_version: '1.0',
  protocol_version: '2025-11-25',
  capabilities: '{"sampling":{}}',
}
const key = Buffer.alloc(32, 7)

test('what was sealed is unsealed by any worker with the key, and by none without', () => {
  const id = new SessionSeal(key).seal(session)
  expect(new SessionSeal(key).unseal(id)).toEqual(session)
  expect(new SessionSeal(Buffer.alloc(32, 8)).unseal(id)).toBeNull()
})

test('an id is one header value of visible ASCII', () => {
  expect(new SessionSeal(key).seal(session)).toMatch(/^[\x21-\x7e]+$/)
})

test('no character can be changed, left out or added', () => {
  const id = new SessionSeal(key).seal(session)
  const seal = new SessionSeal(key)
  for (let i = 0; i < id.length; i++) {
    const other = id[i] === 'A' ? 'B' : 'A'
    const changed = id.slice(0, i) + other + id.slice(i + 1)
    expect(seal.unseal(changed), `changed at ${i}`).toBeNull()
    expect(seal.unseal(id.slice(0, i) + id.slice(i + 1)), `left out at ${i}`).toBeNull()
    expect(seal.unseal(`${id.slice(0, i)}A${id.slice(i)}`), `added at ${i}`).toBeNull()
  }
  expect(seal.unseal(`${id}A`)).toBeNull()
  expect(seal.unseal(`${id}=`)).toBeNull()
  expect(seal.unseal(id)).toEqual(session)
})

test('the payload of one id does not go with the seal of another', () => {
  const seal = new SessionSeal(key)
  const [mine, theirs] = [seal.seal(session), seal.seal({ ...session, caller: 'admin' })]
  const mixed = `${theirs.slice(0, theirs.lastIndexOf('.'))}${mine.slice(mine.lastIndexOf('.'))}`
  expect(new SessionSeal(key).unseal(mixed)).toBeNull()
})

test.each([
  '',
  'weir1.',
  'weir1..',
  'weir1.e30.',
  'weir1.W10.AAAA',
  'other',
  `weir1.${'A'.repeat(10_000)}.AAAA`,
  '\0',
  'weir1.é.é',
])('%j is no session and no crash', (id) => {
  expect(new SessionSeal(key).unseal(id)).toBeNull()
})

test('remembering ids is bounded and never changes an answer', () => {
  const seal = new SessionSeal(key)
  const first = seal.seal(session)
  for (let i = 0; i < 10_050; i++) seal.unseal(seal.seal({ ...session, handle: String(i) }))
  expect(seal.unseal(first)).toEqual(session)
  expect(seal.unseal(`${first}x`)).toBeNull()
})

test('an id lives as long as it may, read for the first time or known, and not longer', () => {
  const [now, age] = [1_800_000_000_000, 60_000]
  const seal = new SessionSeal(key, age)
  const id = seal.seal(session, now)
  expect(seal.unseal(id, now + age - 1)).toEqual(session)
  expect(seal.unseal(id, now + age)).toBeNull()
  expect(new SessionSeal(key, age).unseal(id, now + age)).toBeNull()
  // The clock of another machine may be behind.
  expect(new SessionSeal(key, age).unseal(id, now - 5000)).toEqual(session)
})
