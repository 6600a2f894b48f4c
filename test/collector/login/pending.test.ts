/** Logins under way, kept by the browser; and where a login may lead. */
import { expect, test } from 'vitest'
import { openLogins } from '../../../collector/api/logins.ts'
import { openPendingLogins, PENDING_S, returnPath } from '../../../collector/login/pending.ts'

const LOGIN = { issuer: 'https://login.example.com', state: 's', nonce: 'n', verifier: 'v', to: '/tools' }

test('expired login: what took too long is none, nor what another collector has sealed', async () => {
  let now_ms = 1_800_000_000_000
  const pending = openPendingLogins(() => now_ms)
  const sealed = await pending.seal(LOGIN)
  expect(await pending.open(sealed)).toEqual(LOGIN)
  now_ms += (PENDING_S - 1) * 1000
  expect(await pending.open(sealed)).toEqual(LOGIN)
  now_ms += 1000
  expect(await pending.open(sealed)).toBeNull()
  expect(await openPendingLogins(() => 1_800_000_000_000).open(sealed)).toBeNull()
  expect(await pending.open('')).toBeNull()
})

test('a login is spent once', () => {
  const pending = openPendingLogins()
  expect(pending.spend(LOGIN)).toBe(true)
  expect(pending.spend({ ...LOGIN, to: '/' })).toBe(false)
  expect(pending.spend({ ...LOGIN, state: 'other' })).toBe(true)
})

test('a session ends with the word it was opened with, or after its own time', () => {
  let now_ms = 0
  const logins = openLogins(() => now_ms)
  const person = { issuer: 'https://login.example.com', caller: 'ada', roles: [], principal: 'ada#1' }
  const short = logins.open({ person }, true, 60_000)
  expect(short).toMatch(/Max-Age=60; Secure$/)
  const long = logins.open({ person }, true, 1e12)
  expect(long).toMatch(/Max-Age=43200; Secure$/)
  now_ms = 59_999
  expect(logins.holderOf(short.split(';')[0])).toEqual({ person })
  now_ms = 60_000
  expect(logins.holderOf(short.split(';')[0])).toBeNull()
  expect(logins.holderOf(long.split(';')[0])).toEqual({ person })
})

test.each([
  ['/tools?range=6h', '/tools?range=6h'],
  ['/tools/bank/get%20it?a=%2F#part', '/tools/bank/get%20it?a=%2F'],
  ['/', '/'],
])('a path of the console: %s', (asked, wanted) => {
  expect(returnPath(asked)).toBe(wanted)
})

test.each([
  'https://evil.example/',
  '//evil.example/',
  '//evil.example/tools',
  '///evil.example/',
  '/\\evil.example/',
  '\\\\evil.example',
  '/\t/evil.example/',
  '/\n/evil.example',
  '/.//evil.example/',
  '/x/..//evil.example/',
  '/%2e//evil.example',
  'javascript:alert(1)',
  ' //evil.example',
  'tools',
  '',
  '/login/sso',
  '/api/logout',
  `/${'x'.repeat(1_000)}`,
  `/${'é'.repeat(200)}`,
  undefined,
  ['/tools', '/x'],
])('open redirect: %j leads to the overview', (asked) => {
  expect(returnPath(asked)).toBe('/')
})
