/** The admin API over TLS: who gets as far as showing a token, what plain HTTP gets, and what happens when its files change. */
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeKey } from '../../config/key-text.ts'
import { readNote } from '../../supervisor/data-folder.ts'
import { run } from '../cli/support/weir.ts'
import { Authority, certificateFolder, type Pair, pem, putListenerPair } from '../support/certificates.ts'
import type { Folder } from '../support/folder.ts'
import { startWeir, Weir } from '../support/installation.ts'
import { stablePort } from '../support/ports.ts'
import { waitFor } from '../support/wait.ts'

const token = makeKey('admin')
const port = stablePort()
let folder: Folder
let authority: Authority
let operators: Authority
let operator: Pair
let weir: Weir

const file = (name: string): string => join(folder.path, name)
const put = (pair: Pair): void => putListenerPair(folder, pair)
const config = (tls: object | null = {}) => ({
  callers: { agent: {} },
  admin: {
    listen: `127.0.0.1:${port}`,
    tokens: [{ name: 'ci', sha256: token.sha256 }],
    ...(tls && {
      tls: {
        cert: file('weir.crt'),
        key: file('weir.key'),
        client_ca: operators.cert,
        client_auth: 'required',
        ...tls,
      },
    }),
  },
})

beforeAll(async () => {
  folder = certificateFolder()
  authority = new Authority(folder, 'authority')
  operators = new Authority(folder, 'operators')
  operator = operators.issue(['URI:spiffe://example.com/operator'])
  put(authority.issue(['IP:127.0.0.1'], 'serverAuth'))
  weir = await startWeir({ config: config() })
})
afterAll(async () => {
  await weir?.remove()
  folder?.remove()
})

type Said = { status: number; text: string; serial: string }
/** Rejects with the reason when the connection fails. */
const ask = (client: Pair | null, key = token.text, ca = authority.cert): Promise<Said> =>
  new Promise((resolve, reject) => {
    const own = client ? pem(client) : {}
    const headers = key ? { authorization: `Bearer ${key}` } : {}
    const { cert: trusted } = pem({ cert: ca, key: ca })
    request(
      { host: '127.0.0.1', port, path: '/v1/callers', ca: trusted, agent: false, headers, ...own },
      (answer) => {
        const serial = (answer.socket as TLSSocket).getPeerCertificate().serialNumber
        let text = ''
        answer.on('data', (chunk) => {
          text += chunk
        })
        answer.on('end', () => resolve({ status: answer.statusCode!, text, serial }))
      },
    )
      .on('error', reject)
      .end()
  })

test('a holder of a certificate and a token gets in, and neither does alone', async () => {
  expect(new URL(readNote(weir.data)!.admin).protocol).toBe('https:')
  const answer = await ask(operator)
  expect(answer.status).toBe(200)
  expect(JSON.parse(answer.text)).toMatchObject([{ name: 'agent' }])
  expect((await ask(operator, '')).status).toBe(401)
  await expect(ask(null)).rejects.toThrow()
  await expect(ask(authority.issue(['URI:spiffe://example.com/operator']))).rejects.toThrow()
})

test('it shows its own certificate: who trusts another authority does not send the token', async () => {
  await expect(ask(operator, token.text, operators.cert)).rejects.toThrow(/certificate/)
})

test('plain HTTP gets no answer', async () => {
  await expect(
    fetch(`http://127.0.0.1:${port}/v1/callers`, { headers: { authorization: `Bearer ${token.text}` } }),
  ).rejects.toThrow()
})

test('a renewed certificate is shown without a restart, and files that do not fit change nothing', async () => {
  const before = (await ask(operator)).serial
  put(authority.issue(['IP:127.0.0.1'], 'serverAuth'))
  const renewed = await waitFor('the new certificate', async () => {
    const { serial } = await ask(operator)
    return serial !== before && serial
  })
  writeFileSync(file('weir.crt'), 'no certificate')
  await waitFor('it is told', () => weir.output.includes('changed certificates are not taken over'))
  expect(await ask(operator)).toMatchObject({ status: 200, serial: renewed })
  put(authority.issue(['IP:127.0.0.1'], 'serverAuth'))
  await waitFor('the next one', async () => (await ask(operator)).serial !== renewed)
})

test('files that cannot be read keep the whole of the old config, and turning TLS off needs a restart', async () => {
  for (const [tls, reason] of [
    [{ cert: file('nowhere.crt') }, 'admin.tls.cert'],
    [null, 'admin.tls.client_auth cannot change while running'],
  ] as const) {
    const from = weir.output.length
    weir.writeConfig({ ...config(tls), callers: { other: {} } })
    await waitFor('the reason', () => weir.output.slice(from).includes(reason))
    expect((await ask(operator)).status).toBe(200)
    weir.writeConfig(config())
    await waitFor('the old one is in force', async () => (await ask(operator)).text.includes('"agent"'))
  }
})

test('weir doctor tells until when its certificate holds', async () => {
  const { out } = await run(weir.folder.path, 'doctor', '--json')
  const { checks } = JSON.parse(out) as { checks: { name: string; state: string; detail: string }[] }
  expect(checks.find(({ name }) => name === 'certificate admin')).toMatchObject({
    state: 'warning',
    detail: expect.stringMatching(/^ends on \d{4}-\d\d-\d\d$/),
  })
})

test('without files that can be used it does not start, and says why', async () => {
  const other = new Weir({ config: config({ key: operator.key }) })
  try {
    await other.ended(90_000)
    expect(other.output).toMatch(/admin\.tls: .* cannot be used/)
  } finally {
    await other.remove()
  }
})
