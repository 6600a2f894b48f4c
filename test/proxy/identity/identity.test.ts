import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { identify, makeKeyRing } from '../../../proxy/identity/identity.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const NOW = Date.parse('2026-11-21T12:00:00Z')
const caller = (...keys: { sha256: string; expires?: string }[]) => ({
  team: 't',
  project: 'p',
  roles: [],
  tags: {},
  keys,
  certificates: [],
})

describe('without callers', () => {
  const open = makeKeyRing({})
  test('this machine is served as local, whatever it shows, and nobody else is', () => {
    expect(identify(open, undefined, true, NOW)).toMatchObject({ caller: 'local', auth_method: 'local' })
    expect(identify(open, 'Bearer x', true, NOW)).toMatchObject({ caller: 'local' })
    expect(identify(open, undefined, false, NOW)).toBeNull()
    expect(identify(open, 'Bearer x', false, NOW)).toBeNull()
  })
})

describe('with callers', () => {
  const ring = makeKeyRing({
    agent: caller({ sha256: sha256('key-a') }, { sha256: sha256('key-b'), expires: '2026-11-21' }),
    other: caller({ sha256: sha256('key-c'), expires: '2026-11-21T12:00:00.001Z' }),
  })

  test.each(['Bearer key-a', 'bearer key-a', 'BEARER key-a', 'Bearer  key-a', 'Bearer key-a '])(
    '%j is agent',
    (header) => {
      expect(identify(ring, header, false, NOW)).toMatchObject({
        caller: 'agent',
        team: 't',
        project: 'p',
        principal: `agent#${sha256('key-a').slice(0, 8)}`,
        auth_method: 'api_key',
      })
    },
  )

  test.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'key-a',
    'Basic key-a',
    'Bearer key-A',
    'Bearer key-a2',
    `Bearer ${sha256('key-a')}`,
    `Bearer ${'x'.repeat(5000)}`,
    'Bearer key-a, Bearer key-c',
  ])('%j is nobody, not even from this machine', (header) => {
    expect(identify(ring, header, true, NOW)).toBeNull()
  })

  test('a key ends at its moment, and a day at its beginning', () => {
    expect(identify(ring, 'Bearer key-b', false, Date.parse('2026-11-20T23:59:59.999Z'))).not.toBeNull()
    expect(identify(ring, 'Bearer key-b', false, Date.parse('2026-11-21T00:00:00Z'))).toBeNull()
    expect(identify(ring, 'Bearer key-c', false, NOW)).not.toBeNull()
    expect(identify(ring, 'Bearer key-c', false, NOW + 1)).toBeNull()
  })

  test('the ring holds no key', () => {
    expect(JSON.stringify([...ring.byDigest])).not.toContain('key-a')
  })
})

describe('what a key says of itself', () => {
  const ring = makeKeyRing({
    desk: {
      ...caller(),
      tags: { cost_center: '42', user: 'nobody' },
      keys: [
        { sha256: sha256('k1'), id: 'laptop', scope: ['bank/get_*'], user: 'ada' },
        { sha256: sha256('k2'), app: 'crm' },
      ],
    },
    revoked: caller(),
  })
  const as = (key: string) => identify(ring, `Bearer ${key}`, false, NOW)

  test('its id is in the principal, its scope limits it, its user is a tag that no tag of the caller hides', () => {
    expect(as('k1')).toMatchObject({
      principal: 'desk#laptop',
      scope: ['bank/get_*'],
      tags: { cost_center: '42', user: 'ada' },
    })
    expect(as('k2')).toMatchObject({ scope: null, tags: { cost_center: '42', app: 'crm' } })
  })

  test('callers without keys are callers: nobody is local', () => {
    const closed = makeKeyRing({ revoked: caller() })
    expect(identify(closed, undefined, true, NOW)).toBeNull()
  })
})
