import { describe, expect, test } from 'vitest'
import { REDACTIONS } from '../../../config/schema.ts'
import { fingerprint, makeRedactor, redactCut, redactError } from '../../../proxy/telemetry/redact.ts'

const all = makeRedactor([...REDACTIONS])
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl'

describe('what must not be seen', () => {
  test.each([
    ['mail ada.lovelace+x@sub.example.co.uk now', 'mail [email] now'],
    ['<ada@example.org>', '<[email]>'],
    ['card 4111111111111111.', 'card [card].'],
    ['card 4111 1111 1111 1111 12/27', 'card [card] 12/27'],
    ['card 4111-1111-1111-1111-737', 'card [card]-737'],
    ['7 4111 1111 1111 1111', '7 [card]'],
    ['amex 378282246310005', 'amex [card]'],
    ['two 4111111111111111 5500005555555559', 'two [card] [card]'],
    ['iban DE89 3704 0044 0532 0130 00 x', 'iban [iban] x'],
    ['iban GB82WEST12345698765432', 'iban [iban]'],
    [`jwt ${JWT} end`, 'jwt [secret] end'],
    [`x-${JWT}`, 'x-[secret]'],
    ['key sk-abcdefghijklmnop1234', 'key [secret]'],
    ['key weir_abcdefghijklmnop', 'key [secret]'],
    ['ghp_abcdefghijklmnopqrstuvwxyz0123456789', '[secret]'],
    ['AKIAIOSFODNN7EXAMPLEKEY', '[secret]'],
    ['Bearer abcdefghij', '[secret]'],
    ['Authorization: Bearer abc.def', 'Authorization: [secret]'],
    ['Authorization: ApiKey abc123', 'Authorization: [secret]'],
    ['cookie: sid=1; other=2', 'cookie: [secret]'],
    ['password=hunter2&user=bob', 'password=[secret]&user=bob'],
    ['PASSWORD: hunter2', 'PASSWORD: [secret]'],
    ['{"password":"correct horse battery"}', '{"password":"[secret]"}'],
    ['{"text":"{\\"password\\":\\"hunter2\\"}"}', '{"text":"{\\"password\\":\\"[secret]\\"}"}'],
    ["{'api_key': 'abc def'}", "{'api_key': '[secret]'}"],
    ['client_secret: abc', 'client_secret: [secret]'],
    ['https://user:pass@host/x', 'https://[secret]@host/x'],
    ['https://user:p@ss@host/x', 'https://[secret]@host/x'],
    ['https://ghtoken@host/x', 'https://[secret]@host/x'],
    ['-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- x', '[secret] x'],
    ['-----BEGIN PRIVATE KEY-----\nabc', '[secret]'],
    ['hex 0123456789abcdef0123456789abcdef01234567', 'hex [secret]'],
    ['call +49 30 1234 5678 now', 'call [phone] now'],
    ['from 192.168.1.17 port 1', 'from [ip] port 1'],
  ])('%j becomes %j', (text, masked) => {
    expect(all(text)).toBe(masked)
  })
})

describe('what may stay', () => {
  test.each([
    'Tool not found: get_balance',
    'invalid token provided',
    'Basic information is missing',
    'Unexpected token in JSON at position 4',
    'order 1234567890123 is unknown',
    'took 1,234,567 us at 12:30:45',
    '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
    'HTTP 503 from http://host:8080/mcp',
    'price @ 5 per unit',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'version 1.2.3',
    'the secret of success',
  ])('%j', (text) => {
    expect(all(text)).toBe(text)
  })

  test('only the chosen kinds are masked', () => {
    expect(makeRedactor(['email'])('a@b.org 192.168.1.1')).toBe('[email] 192.168.1.1')
    expect(makeRedactor([])('a@b.org')).toBe('a@b.org')
  })
})

describe('secrets of the config', () => {
  test('are masked literally, the longer first, in JSON and in URLs too', () => {
    const redact = makeRedactor([], ['open', 'open sesame"1', 'abc', 'a/b+c d'])
    expect(redact('say open sesame"1 or open')).toBe('say [secret] or [secret]')
    expect(redact(JSON.stringify({ x: 'open sesame"1' }))).toBe('{"x":"[secret]"}')
    expect(redact('?q=a%2Fb%2Bc%20d')).toBe('?q=[secret]')
    // Three letters would be found in half of all words.
    expect(redact('abc')).toBe('abc')
  })
})

describe('cuts', () => {
  test('a secret across the cut is not half shown', () => {
    for (let before = 270; before < 305; before++) {
      const text = `${'x '.repeat(before / 2)}${before % 2 ? ' ' : ''}ada.lovelace@example.org tail`
      expect(redactCut(all, text, 300)).not.toMatch(/ada\.l|ada\./)
      expect(redactError(all, text)).not.toMatch(/ada\.l|ada\./)
    }
  })

  test('what moves into the kept part because masks are short was masked as well', () => {
    const text = `${`${JWT} `.repeat(200)}password=hunter2 ${'z'.repeat(9000)}`
    expect(redactError(all, text)).not.toContain('eyJ')
    expect(redactCut(all, text, 4000)).not.toMatch(/hunter2|eyJ/)
  })

  test('an error text is one line of at most 300 characters', () => {
    const text = redactError(all, `a\n\t b ${'word '.repeat(1000)}`)
    expect(text).toMatch(/^a b word/)
    expect(text.length).toBeLessThanOrEqual(300)
  })
})

// A quadratic pattern needs minutes for a megabyte and meets the time limit of the test.
test.each([
  ['letters', 'a'],
  ['digits', '1'],
  ['spaced digits', '1 '],
  ['dashed words', 'a-'],
  ['at signs', 'a@'],
  ['dots', 'a.'],
  ['jwt heads', 'eyJ-'],
  ['jwt heads and dots', 'eyJaaaaa.'],
  ['slashes', '://a:'],
  ['user infos', '://a:b'],
  ['names', 'password='],
  ['names and spaces', 'password    '],
  ['quotes', 'password="'],
  ['backslashes', 'password=\\"\\'],
  ['tokens', 'token '],
  ['key heads', '-----BEGIN A'],
  ['key heads and ends', '-----BEGIN PRIVATE KEY----------END '],
  ['pluses', '+1 '],
  ['phone groups', '+1 (12) 34'],
  ['capitals', 'AB12 '],
  ['octets', '1.'],
  ['cookies', 'cookie:'],
])(
  'a megabyte of %s is read in linear time',
  (_name, piece) => {
    const text = piece.repeat(Math.ceil(1_048_576 / piece.length))
    expect(all(text).length).toBeGreaterThan(0)
    // Each of these looks for the last word before its cut.
    const looksOnly = (seen: string): string => seen
    for (const before of [8000, 7000, 6000, 5000])
      expect(redactCut(looksOnly, text, text.length - before)).not.toBe('')
    expect(fingerprint('x', text.slice(0, 65_536))).toMatch(/^[0-9a-f]{16}$/)
  },
  20_000,
)

describe('fingerprints', () => {
  test.each([
    ['user 17 not found', 'user 4711 not found'],
    [
      'no row with id 3f2504e0-4f89-41d3-9a0c-0305e82c3301',
      'no row with id 00000000-4f89-41d3-9a0c-0305e82c3302',
    ],
    ['open "/a/b.txt" failed', 'open "/c/d/e.txt" failed'],
    ['cannot read /var/lib/x/1.db', 'cannot read /home/me/2.db'],
    ['GET https://a.example/x?y=1 gave 500', 'GET https://b.example/z gave 500'],
    ['timeout after 120000 ms', 'timeout after 5.5 ms'],
    ['pointer 0xdeadbeef', 'pointer 0xcafe0001'],
    ['commit 0a1b2c3d4e5f', 'commit ff00ff00ff01'],
    ['Connection   refused', 'connection refused'],
  ])('%j and %j are one cause', (a, b) => {
    expect(fingerprint('t', a)).toBe(fingerprint('t', b))
  })

  test.each([
    ['user not found', 'group not found'],
    ['connection refused', 'connection reset'],
    ['permission denied on /a/b', 'no such file /a/b'],
    ['', 'x'],
  ])('%j and %j are two', (a, b) => {
    expect(fingerprint('t', a)).not.toBe(fingerprint('t', b))
  })

  test('the type of the error is part of it', () => {
    expect(fingerprint('tool_error', 'x')).not.toBe(fingerprint('timeout', 'x'))
  })
})
