/** SSRF: where metadata may be fetched from. */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { type Lookup, makeFetchJson } from '../../net/issuer-fetch.ts'
import { mayReach } from '../../net/networks.ts'
import { IssuerKeys, metadataUrls } from '../../proxy/identity/issuer-keys.ts'

const PUBLIC = { loopback: false, private: false }
const INSIDE = { loopback: false, private: true }
const LOCAL = { loopback: true, private: false }
const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const answersWith =
  (...addresses: string[]): Lookup =>
  (_host, _options, found) =>
    found(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )

describe('addresses', () => {
  test.each(['93.184.216.34', '2606:4700::1111', '::ffff:93.184.216.34'])('%s is anybody', (address) => {
    expect(mayReach(address, PUBLIC)).toBe(true)
  })

  test.each([
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    'fd00::1',
    '::ffff:10.0.0.1',
    '::10.0.0.1',
  ])('%s is inside: only where the config says so', (address) => {
    expect(mayReach(address, PUBLIC)).toBe(false)
    expect(mayReach(address, INSIDE)).toBe(true)
  })

  test.each(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::7f00:1'])(
    '%s is this machine: only where the config names it',
    (address) => {
      expect(mayReach(address, INSIDE)).toBe(false)
      expect(mayReach(address, LOCAL)).toBe(true)
    },
  )

  test.each([
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '::ffff:a9fe:a9fe',
    '::ffff:0:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '2002:a9fe:a9fe::1',
    'fe80::1',
    'fe80::1%eth0',
    '0.0.0.0',
    '::',
    '224.0.0.1',
    'ff02::1',
    '255.255.255.255',
  ])('%s is nobody, whatever the config says', (address) => {
    expect(mayReach(address, { loopback: true, private: true })).toBe(false)
  })
})

describe('a fetch', () => {
  test.each([
    'http://login.example.com/x',
    'ftp://login.example.com/x',
    'http://127.0.0.1.nip.io/x',
    'https://user:pass@login.example.com/x',
    'https://169.254.169.254/latest/meta-data',
    'https://[::ffff:169.254.169.254]/x',
    'https://0x7f000001/x',
    'https://2130706433/x',
    'https://127.1/x',
    'https://10.0.0.8/jwks',
    'http://localhost:1/x',
  ])('of %s is not made', async (url) => {
    let wasAsked = false
    const fetchJson = makeFetchJson((_host, _options, found) => {
      wasAsked = true
      found(new Error('asked'), [])
    })
    await expect(fetchJson(url, PUBLIC, 1000)).rejects.toThrow(/not https|may not be asked|user or password/)
    expect(wasAsked).toBe(false)
  })

  test.each([['10.0.0.8'], ['169.254.169.254'], ['::1'], ['127.0.0.1'], ['93.184.216.34', '10.0.0.8']])(
    'of a name that leads to %s is not made (DNS rebinding)',
    async (...addresses) => {
      const fetchJson = makeFetchJson(answersWith(...(addresses as string[])))
      await expect(fetchJson('https://login.example.com/jwks', PUBLIC, 1000)).rejects.toThrow(
        'may not be asked',
      )
    },
  )

  test('follows no redirect', async () => {
    let reached = false
    const inside = await serve((_req, res) => {
      reached = true
      res.end('{}')
    })
    const url = await serve((_req, res) => res.writeHead(302, { location: inside }).end())
    await expect(makeFetchJson()(url, LOCAL, 1000)).rejects.toThrow('HTTP 302')
    expect(reached).toBe(false)
  })

  test('is bounded in size', async () => {
    const url = await serve((_req, res) => res.end(`{"keys":["${'x'.repeat(300_000)}"]}`))
    await expect(makeFetchJson()(url, LOCAL, 5000)).rejects.toThrow('larger than')
  })

  test('is bounded in time, also for one that sends a byte now and then', async () => {
    const url = await serve((_req, res) => {
      res.write('{')
      const drip = setInterval(() => res.write(' '), 10)
      res.on('close', () => clearInterval(drip))
    })
    await expect(makeFetchJson()(url, LOCAL, 200)).rejects.toThrow()
  })

  test.each(['', '[]', '"x"', 'null', '<html>', '{"a":'])('of %j is no document', async (body) => {
    const url = await serve((_req, res) => res.end(body))
    await expect(makeFetchJson()(url, LOCAL, 1000)).rejects.toThrow('not a JSON object')
  })
})

describe('metadata', () => {
  test('is looked for where the specification says, in its order', () => {
    expect(metadataUrls('https://a.example/tenant')).toEqual([
      'https://a.example/.well-known/oauth-authorization-server/tenant',
      'https://a.example/.well-known/openid-configuration/tenant',
      'https://a.example/tenant/.well-known/openid-configuration',
    ])
    expect(metadataUrls('https://a.example')).toEqual([
      'https://a.example/.well-known/oauth-authorization-server',
      'https://a.example/.well-known/openid-configuration',
    ])
  })

  test.each([
    'http://169.254.169.254/latest',
    'http://[fe80::1]/x',
    'file:///etc/passwd',
    'http://10.0.0.1/x',
    'x',
  ])('cannot lead to %s', async (jwks_uri) => {
    let issuer = ''
    issuer = await serve((_req, res) => res.end(JSON.stringify({ issuer, jwks_uri })))
    const told: (Error | null)[] = []
    const keys = new IssuerKeys(
      {
        issuer,
        jwks_uri: undefined,
        private_network: false,
        keys: { refresh_s: 600, cooldown_s: 30, stale_max_s: 60, timeout_ms: 1000 },
      },
      makeFetchJson(),
      Date.now,
      (error) => told.push(error),
    )
    expect(await keys.have()).toBeNull()
    expect(told.map((error) => error?.message)).toEqual([
      expect.stringMatching(/not https|may not be asked|no jwks_uri/),
    ])
  })
})
