import { describe, expect, test } from 'vitest'
import { sanKey } from '../../../config/access-check.ts'
import { CertificateRing, fromHopText, hopText, sansOf } from '../../../proxy/identity/certificate.ts'

const caller = (...sans: string[]) => ({
  team: '',
  project: '',
  roles: [],
  tags: {},
  keys: [],
  certificates: sans.map((san) => ({ san })),
})
const ring = new CertificateRing({
  one: caller('URI:spiffe://example.com/one', 'DNS:One.example.com'),
  two: caller('DNS:two.example.com'),
})
const NOW = Date.parse('2026-11-21T12:00:00Z')
const certificate = (...sans: string[]) => ({
  sans: sans.map(sanKey),
  thumbprint: 'abcdefghijklmnop',
  expires_ms: NOW + 1000,
})

describe("Node's text of the names", () => {
  test.each([
    ['DNS:a.example, URI:spiffe://x/y', ['dns:a.example', 'URI:spiffe://x/y']],
    ['IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1', ['ip:10.0.0.1', 'ip:[::1]']],
    ['DNS:UPPER.example, URI:spiffe://x/UPPER', ['dns:upper.example', 'URI:spiffe://x/UPPER']],
    ['email:A@b.example, DirName:"CN = x", Registered ID:1.2.3', ['email:a@b.example']],
    ['', []],
  ])('%s', (text, sans) => {
    expect(sansOf(text)).toEqual(sans)
  })

  test.each([
    'DNS:"x, URI:spiffe://example.com/one"',
    'DNS:"x\\", URI:spiffe://example.com/one"',
    'DNS:"two.example.com\\u0000.evil.example"',
    'othername:"1.2.3.4:x, DNS:two.example.com"',
  ])('a quoted value is one value, and no name: %s', (text) => {
    expect(sansOf(text)).toEqual([])
  })

  test.each([
    'DNS:"open',
    'DNS:x"y, DNS:two.example.com',
    ', DNS:two.example.com',
    'DNS two.example.com',
    'x'.repeat(100_000),
  ])('from a text that is not well formed nothing counts (%#)', (text) => {
    expect(sansOf(text)).toEqual([])
  })
})

describe('whose a certificate is', () => {
  test('by any of its names, host names without case', () => {
    expect(ring.identify(certificate('URI:spiffe://example.com/one'), NOW)).toMatchObject({
      caller: 'one',
      auth_method: 'mtls',
      principal: 'one#abcdefghijkl',
      expires_ms: NOW + 1000,
    })
    expect(ring.identify(certificate(...sansOf('DNS:ONE.EXAMPLE.COM')), NOW)?.caller).toBe('one')
  })

  test('nobody claims the names of two callers, and nobody comes in after it has expired', () => {
    expect(ring.identify(certificate('DNS:two.example.com', 'URI:spiffe://example.com/one'), NOW)).toBeNull()
    expect(ring.identify(certificate('DNS:two.example.com'), NOW + 1000)).toBeNull()
    expect(ring.identify(certificate('DNS:three.example.com'), NOW)).toBeNull()
    expect(ring.identify(certificate(), NOW)).toBeNull()
  })

  test('what one worker tells another is what it was', () => {
    const told = certificate('DNS:two.example.com')
    expect(fromHopText(hopText(told))).toEqual(told)
    expect(fromHopText(hopText(null))).toBeNull()
    expect(fromHopText(undefined)).toBeNull()
  })
})
