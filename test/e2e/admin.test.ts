/**
 * The admin API of a real Weir with two workers: what a program may do with a token, and what nobody may do without one. Every
 * change is in weir.yaml with its comments, in force on every worker when the answer comes, and on the record.
 */
import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeKey } from '../../config/key-text.ts'
import { jsonLines, start } from '../cli/support/weir.ts'
import { send, toolCall } from '../support/client.ts'
import { stablePort } from '../support/ports.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'

const writer = makeKey('admin')
const reader = makeKey('admin')
const stale = makeKey('admin')
const own = makeKey()
const port = stablePort()
const URL_BASE = `http://127.0.0.1:${port}`
const PATH = '/servers/stub/mcp'

let upstream: UpstreamStub
let weir: Observed

type Reply = {
  status: number
  body: Record<string, unknown> & { error?: { code: string; message: string } }
  headers: Headers
}

async function ask(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = { authorization: `Bearer ${writer.text}` },
): Promise<Reply> {
  const answer = await fetch(`${URL_BASE}${path}`, {
    method,
    headers: {
      ...(body === undefined
        ? {}
        : { 'content-type': typeof body === 'string' ? 'application/yaml' : 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Reply['body'] }
}
const file = (): string => readFileSync(weir.weir.configFile, 'utf8')
const call = async (key: string): Promise<number[]> => {
  const answers = await Promise.all(
    Array.from({ length: 16 }, (_, i) =>
      send(`${weir.url}${PATH}`, toolCall(`a${i}`, 'echo', {}), {
        headers: { authorization: `Bearer ${key}` },
      }),
    ),
  )
  return [...new Set(answers.map(({ status }) => status))]
}
/** weir.yaml as a person writes it: `writeConfig` of the installation writes JSON, which has no comments. */
function asYaml(): void {
  const config = JSON.parse(file()) as Record<string, unknown>
  const lines = Object.entries(config).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  writeFileSync(weir.weir.configFile, `# kept by the platform team\n${lines.join('\n')} # the end\n`)
}

beforeAll(async () => {
  upstream = await startUpstream({})
  weir = await startObserved(
    {
      workers: 2,
      servers: { stub: { url: upstream.url, headers: { 'x-secret': '${UPSTREAM_SECRET}' } } },
      callers: { 'own-agent': { team: 'research', keys: [{ sha256: own.sha256, id: 'own' }] } },
      budgets: [{ scope: 'team', name: 'research', amount_usd: '${BUDGET:-400}' }],
      admin: {
        listen: `127.0.0.1:${port}`,
        tokens: [
          { name: 'platform-ci', sha256: writer.sha256 },
          { name: 'dashboard', sha256: reader.sha256, may: 'read' },
          { name: 'gone', sha256: stale.sha256, expires: '2026-01-01' },
        ],
      },
    },
    { env: { UPSTREAM_SECRET: 'canary-upstream-secret' } },
  )
  asYaml()
}, 120_000)
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
})

describe('the door', () => {
  test('opens for no missing, wrong, expired or foreign credential', async () => {
    for (const headers of [
      {},
      { authorization: 'Bearer ' },
      { authorization: `Bearer ${stale.text}` },
      { authorization: `Bearer ${own.text}` },
      { authorization: `Bearer ${writer.sha256}` },
      { authorization: `Basic ${Buffer.from(`x:${writer.text}`).toString('base64')}` },
      { authorization: `Bearer ${writer.text.toLowerCase()}` },
      { cookie: `token=${writer.text}` },
      { 'x-api-key': writer.text },
    ] as Record<string, string>[])
      for (const [method, path] of [
        ['GET', '/v1/callers'],
        ['PUT', '/v1/callers/x'],
        ['DELETE', '/v1/callers/own-agent/keys/own'],
        ['GET', '/nowhere'],
      ] as const)
        expect((await ask(method, path, undefined, headers)).status, `${method} ${path}`).toBe(401)
  })

  test('an admin token is no key: it opens no call', async () => {
    expect(await call(writer.text)).toEqual([401])
  })

  test('a token that may only read changes nothing, and sees no digest', async () => {
    const headers = { authorization: `Bearer ${reader.text}` }
    const seen = await ask('GET', '/v1/callers', undefined, headers)
    expect(seen.status).toBe(200)
    expect(JSON.stringify(seen.body)).not.toMatch(/[0-9a-f]{64}/)
    const before = file()
    for (const [method, path, body] of [
      ['PUT', '/v1/callers/x', {}],
      ['DELETE', '/v1/callers/own-agent', undefined],
      ['POST', '/v1/callers/own-agent/keys', {}],
      ['PUT', '/v1/budgets', []],
      ['POST', '/v1/config/validate', 'listen: 127.0.0.1:1'],
    ] as const)
      expect((await ask(method, path, body, headers)).body.error?.code, `${method} ${path}`).toBe(
        'read_only_token',
      )
    expect(file()).toBe(before)
  })

  test('a page in a browser cannot use it, by rebinding a name or from another origin', async () => {
    const raw = (headers: Record<string, string>): Promise<number> =>
      new Promise((resolve, reject) => {
        const all = { authorization: `Bearer ${writer.text}`, ...headers }
        request(`${URL_BASE}/v1/callers`, { headers: all }, (res) => {
          res.resume()
          resolve(res.statusCode ?? 0)
        })
          .on('error', reject)
          .end()
      })
    expect(await raw({ host: 'evil.example' })).toBe(403)
    expect(await raw({ origin: 'https://evil.example' })).toBe(403)
    expect(await raw({ origin: 'null' })).toBe(403)
    expect(await raw({ 'sec-fetch-site': 'cross-site' })).toBe(403)
    expect(await raw({ host: `localhost:${port}` })).toBe(200)
  })
})

describe('keys and callers', () => {
  type Shown = {
    last_used_known: boolean
    keys: { id: string; state: string; last_used: string | null }[]
  }
  const shown = async (): Promise<Shown> =>
    (await ask('GET', '/v1/callers/own-agent')).body as unknown as Shown
  const listed = async (): Promise<Shown> =>
    ((await ask('GET', '/v1/callers')).body as unknown as (Shown & { name: string })[]).find(
      ({ name }) => name === 'own-agent',
    )!

  test('are listed with their last use, and say so when the store cannot be asked', async () => {
    await ask('POST', '/v1/callers/own-agent/keys', { id: 'unused' })
    const before_ms = Date.now()
    expect(await call(own.text)).toEqual([200])
    const known = await waitFor('the last use is known', async () => {
      const caller = await shown()
      return caller.keys.find(({ id }) => id === 'own')!.last_used !== null && caller
    })
    expect(known.last_used_known).toBe(true)
    const used_ms = Date.parse(known.keys.find(({ id }) => id === 'own')!.last_used!)
    expect(used_ms).toBeGreaterThanOrEqual(before_ms)
    expect(used_ms).toBeLessThanOrEqual(Date.now())
    expect(known.keys.find(({ id }) => id === 'unused')).toEqual({
      id: 'unused',
      created: expect.any(String),
      state: 'valid',
      last_used: null,
    })
    expect((await listed()).keys.map(({ last_used }) => last_used !== null)).toEqual([true, false])

    // Frozen, not gone: gone, it would be back before anybody asks.
    weir.weir.signal('store', 'SIGSTOP')
    const caller = await listed()
    expect(caller.last_used_known).toBe(false)
    expect(caller.keys.map(({ last_used }) => last_used)).toEqual([null, null])
    weir.weir.signal('store', 'SIGCONT')
    await waitFor('the store is asked again', async () => (await shown()).last_used_known, 90_000)
    await ask('DELETE', '/v1/callers/own-agent/keys/unused')
  })

  test('a key made here opens calls on every worker when the answer comes, and revoked here none', async () => {
    const made = await ask('POST', '/v1/callers/own-agent/keys', {
      scope: ['stub/*'],
      user: 'ada',
      expires: '2099-01-01',
    })
    expect(made.status).toBe(201)
    const { key, id, result } = made.body as { key: string; id: string; result: { in_force: boolean } }
    expect(result.in_force).toBe(true)
    expect(await call(key)).toEqual([200])
    expect(file()).toContain('# kept by the platform team')
    expect(file()).toContain('# the end')
    expect(file()).not.toContain(key)
    const gone = await ask('DELETE', `/v1/callers/own-agent/keys/${id}`)
    expect(gone).toMatchObject({ status: 200, body: { in_force: true } })
    expect(await call(key)).toEqual([401])
    expect(await call(own.text)).toEqual([200])
  })

  test('a rotation without overlap ends the old key with the answer', async () => {
    const first = (await ask('POST', '/v1/callers/own-agent/keys', {})).body as { key: string; id: string }
    const next = (await ask('POST', `/v1/callers/own-agent/keys/${first.id}/rotate`, { overlap_s: 0 }))
      .body as { key: string }
    expect(await call(first.key)).toEqual([401])
    expect(await call(next.key)).toEqual([200])
  })

  test('a caller is set without touching its keys, and a dry run changes nothing', async () => {
    const before = file()
    const dry = await ask('PUT', '/v1/callers/own-agent?dry_run=true', { team: 'bank', roles: ['rm'] })
    expect(dry.body).toMatchObject({
      dry_run: true,
      in_force: false,
      changed: expect.arrayContaining(['callers.own-agent.team']),
    })
    expect(file()).toBe(before)
    await ask('PUT', '/v1/callers/own-agent', { team: 'bank', roles: ['rm'] })
    expect((await ask('GET', '/v1/callers/own-agent')).body).toMatchObject({
      team: 'bank',
      roles: ['rm'],
      keys: expect.arrayContaining([expect.objectContaining({ id: 'own' })]),
    })
    expect(await call(own.text)).toEqual([200])
  })

  test('a key that is revoked while its caller is set stays revoked, and one that is made then stays', async () => {
    const gone = (await ask('POST', '/v1/callers/own-agent/keys', { id: 'going' })).body.key as string
    const [revoked, made, put] = await Promise.all([
      ask('DELETE', '/v1/callers/own-agent/keys/going'),
      ask('POST', '/v1/callers/own-agent/keys', { id: 'coming' }),
      ask('PUT', '/v1/callers/own-agent', { team: 'bank', roles: ['rm'] }),
    ])
    expect([revoked.status, made.status, put.status]).toEqual([200, 201, 200])
    expect(await call(gone)).toEqual([401])
    expect(await call(made.body.key as string)).toEqual([200])
  })

  test('the last caller cannot be removed: without callers everyone on the machine may call', async () => {
    await ask('PUT', '/v1/callers/brief', {})
    expect((await ask('DELETE', '/v1/callers/brief')).status).toBe(200)
    const refused = await ask('DELETE', '/v1/callers/own-agent')
    expect(refused).toMatchObject({
      status: 409,
      body: { error: { message: expect.stringContaining('last caller') } },
    })
    expect((await send(`${weir.url}${PATH}`, toolCall('none', 'echo', {}))).status).toBe(401)
  })

  test('nobody writes a known digest as a key of its own, and no key comes in with a caller', async () => {
    const put = await ask('PUT', '/v1/callers/thief', {
      keys: [{ sha256: createHash('sha256').update('mine').digest('hex') }],
    })
    expect(put.status).toBe(400)
    expect((await ask('POST', '/v1/callers/own-agent/keys', { sha256: 'a'.repeat(64) })).status).toBe(400)
    expect((await ask('POST', '/v1/callers/nobody/keys', {})).status).toBe(404)
  })

  test('names that objects know, line breaks and YAML in values stay values', async () => {
    for (const name of ['__proto__', 'constructor', 'a%0Aadmin:%20{}', ' ', 'a%23b'])
      expect((await ask('POST', `/v1/callers/${name}/keys`, {})).status, name).toBeGreaterThanOrEqual(400)
    for (const name of ['__proto__', 'a%0Aadmin:%20{}', ' ', '%00', '%20own-agent'])
      for (const section of ['callers', 'teams'])
        expect((await ask('PUT', `/v1/${section}/${name}`, {})).status, `${section} ${name}`).toBe(422)
    const deep = JSON.parse(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`) as object
    expect((await ask('PUT', '/v1/teams/deep', deep)).status).toBe(422)
    const note = 'x\nadmin: { open_on_loopback: true } # "\'}]'
    const made = await ask('POST', '/v1/callers/own-agent/keys', { note, id: 'odd' })
    expect(made.status).toBe(201)
    const { body } = await ask('GET', '/v1/callers/own-agent')
    expect((body.keys as { id: string; note?: string }[]).find(({ id }) => id === 'odd')?.note).toBe(note)
    expect((await ask('GET', '/v1/callers', undefined, {})).status).toBe(401)
  })
})

describe('what Weir reads on the machine', () => {
  test.each(['${UPSTREAM_SECRET}', 'a ${PATH} b', 'file:/etc/passwd', '${X:-y}'])(
    '%s in a value is refused: it would show variables and files',
    async (value) => {
      const before = file()
      const note = await ask('POST', '/v1/callers/own-agent/keys', { note: value })
      expect(note).toMatchObject({ status: 422, body: { error: { code: 'value_refused' } } })
      expect((await ask('PUT', '/v1/callers/own-agent', { team: value })).status).toBe(422)
      expect((await ask('PUT', '/v1/teams/t', { tags: { a: value } })).status).toBe(422)
      expect(file()).toBe(before)
    },
  )

  test('a text to validate may refer to nothing that the file does not refer to already', async () => {
    const ok = await ask('POST', '/v1/config/validate', file())
    expect(ok.body).toMatchObject({ valid: true, changed: [], needs_restart: [] })
    for (const reference of ['file:/etc/passwd', '${HOME}', 'file:/dev/zero'])
      expect((await ask('POST', '/v1/config/validate', `env: "${reference}"\n`)).body.error?.code).toBe(
        'value_refused',
      )
  })

  test.each([
    ['where it would be told', (reference: string) => `rules: [{ allow: x, when: "${reference}" }]`],
    [
      'by way of an alias',
      (reference: string) =>
        `servers: { stub: { headers: { x-secret: &a "${reference}" } } }\nrules: [{ allow: x, when: *a }]`,
    ],
  ])('a secret that the file refers to is not told by a text that refers to it %s', async (_where, text) => {
    const answer = await ask('POST', '/v1/config/validate', text('${UPSTREAM_SECRET}'))
    expect(answer.body.error?.code).toBe('value_refused')
    expect(JSON.stringify(answer.body)).not.toContain('canary-upstream-secret')
  })

  test('secrets of servers are in no answer', async () => {
    for (const path of [
      '/v1/config',
      '/v1/callers',
      '/v1/budgets',
      '/v1/teams',
      '/v1/rules',
      '/v1/limits',
      '/v1/prices',
    ])
      expect(JSON.stringify((await ask('GET', path)).body)).not.toMatch(/canary-upstream|[0-9a-f]{64}(?!")/)
  })

  test('a value that comes from the environment is changed there, and kept as it is written', async () => {
    const name = encodeURIComponent('team/research')
    const { body } = await ask('GET', `/v1/budgets/${name}`)
    expect(body.entry).toMatchObject({ amount_usd: '${BUDGET:-400}' })
    expect(
      (await ask('PUT', `/v1/budgets/${name}`, { ...(body.entry as object), amount_usd: '500' })).body.error,
    ).toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('comes from the environment'),
    })
    expect(
      (await ask('PUT', `/v1/budgets/${name}`, { ...(body.entry as object), warn_at: [0.9] })).status,
    ).toBe(200)
    expect(file()).toContain('${BUDGET:-400}')
  })
})

describe('the configuration', () => {
  test('what would not load is refused with the place and the fix, and nothing is written', async () => {
    const before = file()
    const answer = await ask('PUT', `/v1/budgets/${encodeURIComponent('team/x')}`, {
      scope: 'team',
      name: 'x',
      amount_usd: -1,
    })
    expect(answer).toMatchObject({
      status: 422,
      body: { error: { code: 'config_invalid', problems: [{ path: 'budgets[1].amount_usd' }] } },
    })
    expect(JSON.stringify(answer.body)).not.toContain(weir.weir.folder.path)
    expect(file()).toBe(before)
  })

  test('two that change the same at once: the one that read the older text is refused', async () => {
    const etag = (await ask('GET', '/v1/teams')).headers.get('etag')!
    const headers = { authorization: `Bearer ${writer.text}`, 'if-match': etag }
    const answers = await Promise.all([
      ask('PUT', '/v1/teams/bank', { budget_usd_per_month: 100 }, headers),
      ask('PUT', '/v1/teams/bank', { budget_usd_per_month: 200 }, headers),
    ])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
  })

  test('many changes at once all take place', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `team-${i}`)
    const answers = await Promise.all(
      names.map((name) => ask('PUT', `/v1/teams/${name}`, { tags: { cost_center: name } })),
    )
    expect(answers.map(({ status }) => status)).toEqual(names.map(() => 200))
    const { body } = await ask('GET', '/v1/teams')
    expect((body as unknown as { name: string }[]).map(({ name }) => name)).toEqual(
      expect.arrayContaining(names),
    )
  })

  test('on top of a file that is not in force nothing is written', async () => {
    const good = file()
    writeFileSync(weir.weir.configFile, good.replace('workers: 2', 'workers: 3'))
    const answer = await ask('PUT', '/v1/teams/late', {})
    expect(answer).toMatchObject({
      status: 409,
      body: { error: { code: 'config_not_in_force', message: expect.stringContaining('workers') } },
    })
    expect((await ask('GET', '/v1/config')).body).toMatchObject({
      in_force: false,
      refused: expect.stringContaining('workers'),
    })
    writeFileSync(weir.weir.configFile, good)
    expect((await ask('GET', '/v1/config')).body).toMatchObject({ in_force: true, refused: '' })
  })

  test('a file that is read-only is said to be, and stays as it is', async () => {
    const before = file()
    chmodSync(weir.weir.configFile, 0o444)
    const answer = await ask('PUT', '/v1/teams/late', {})
    expect(answer).toMatchObject({ status: 409, body: { error: { code: 'config_read_only' } } })
    expect((await ask('GET', '/v1/config')).body.writable).toBe(false)
    chmodSync(weir.weir.configFile, 0o600)
    expect(file()).toBe(before)
  })
})

describe('rules and limits', () => {
  const calls = async (count: number): Promise<{ result: boolean; status: number }[]> =>
    Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const { message, status } = await send(`${weir.url}${PATH}`, toolCall(`r${i}`, 'echo', {}), {
          headers: { authorization: `Bearer ${own.text}` },
        })
        return { result: message?.result !== undefined, status }
      }),
    )

  test('a rule set here decides the next call on every worker, and removed here no more', async () => {
    const name = encodeURIComponent('no echo')
    expect((await calls(8)).every(({ result }) => result)).toBe(true)
    const put = await ask('PUT', `/v1/rules/${name}`, { deny: 'no echo', tools: 'echo' })
    expect(put).toMatchObject({ status: 200, body: { in_force: true, changed: ['rules'] } })
    expect((await calls(8)).some(({ result }) => result)).toBe(false)
    expect((await ask('GET', `/v1/rules/${name}`)).body).toEqual({
      name: 'no echo',
      entry: { deny: 'no echo', tools: 'echo' },
    })
    expect((await ask('PUT', `/v1/rules/${name}`, { deny: 'another', tools: 'x' })).body.error?.code).toBe(
      'name_differs',
    )
    expect((await ask('DELETE', `/v1/rules/${name}`)).status).toBe(200)
    expect((await calls(8)).every(({ result }) => result)).toBe(true)
    expect((await ask('DELETE', `/v1/rules/${name}`)).status).toBe(404)
  })

  test('a rule that does not compile is refused with the place, and the old ones stay', async () => {
    const before = file()
    const answer = await ask('PUT', '/v1/rules/bad', { deny: 'bad', when: 'args.amount >' })
    expect(answer).toMatchObject({ status: 422, body: { error: { code: 'config_invalid' } } })
    expect(file()).toBe(before)
  })

  test('a limit set here counts the next calls', async () => {
    const put = await ask('PUT', '/v1/limits/two-a-day', {
      name: 'two-a-day',
      per: ['caller'],
      quota: '2/day',
    })
    expect(put, JSON.stringify(put.body)).toMatchObject({ status: 200, body: { in_force: true } })
    expect((await calls(10)).filter(({ result }) => result)).toHaveLength(2)
    expect((await ask('PUT', '/v1/limits', [])).status).toBe(200)
    expect((await calls(4)).every(({ result }) => result)).toBe(true)
  })
})

describe('the document', () => {
  test('describes every route, and answers are as it says', async () => {
    const answer = await fetch(`${URL_BASE}/openapi.json`)
    const document = (await answer.json()) as {
      openapi: string
      paths: Record<
        string,
        Record<
          string,
          { summary: string; responses: Record<string, { content?: Record<string, { schema: object }> }> }
        >
      >
    }
    expect(document.openapi).toBe('3.1.0')
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        '/v1/callers/{name}/keys/{id}/rotate',
        '/v1/rules',
        '/v1/limits/{name}',
        '/v1/config/validate',
      ]),
    )
    const ajv = new Ajv2020({ strict: false })
    const schemaOf = (path: string, method: string, status: string): object =>
      document.paths[path]![method]!.responses[status]!.content!['application/json']!.schema
    for (const [path, asked] of [
      ['/v1/callers', '/v1/callers'],
      ['/v1/callers/{name}', '/v1/callers/own-agent'],
      ['/v1/teams', '/v1/teams'],
      ['/v1/budgets', '/v1/budgets'],
      ['/v1/config', '/v1/config'],
    ] as const) {
      const { body } = await ask('GET', asked)
      const isRight = ajv.compile(schemaOf(path, 'get', '200'))
      expect(isRight(body), JSON.stringify(isRight.errors)).toBe(true)
    }
    const isProblem = ajv.compile(schemaOf('/v1/callers/{name}', 'get', '4XX'))
    expect(isProblem((await ask('GET', '/v1/callers/nobody')).body), JSON.stringify(isProblem.errors)).toBe(
      true,
    )
  })

  test('every route of it is closed without a token', async () => {
    const { paths } = (await (await fetch(`${URL_BASE}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, object>>
    }
    for (const [path, methods] of Object.entries(paths))
      for (const method of Object.keys(methods))
        expect(
          (await ask(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, 'x'), undefined, {})).status,
          `${method} ${path}`,
        ).toBe(401)
  })
})

describe('the record', () => {
  test('names the token that made a change, what it was before and after, and no secret', async () => {
    await ask('PUT', '/v1/teams/recorded', { budget_usd_per_month: 100 })
    await ask('PUT', '/v1/teams/recorded', { budget_usd_per_month: 250 })
    type Change = { name: string; who: string; via: string; action: string; before: string; after: string }
    const rows = await waitFor('both are stored', async () => {
      const { out } = await start(
        weir.weir.folder.path,
        ['changes', '--section', 'teams', '--json', '--config', weir.weir.configFile],
        { input: '' },
      ).done
      const found = jsonLines<Change>(out).filter(({ name }) => name === 'recorded')
      return found.length === 2 && found
    })
    expect(rows[0]).toMatchObject({
      who: 'platform-ci',
      via: 'admin_api',
      action: 'changed',
      before: expect.stringContaining('100'),
      after: expect.stringContaining('250'),
    })
    expect(await weir.store.dump()).not.toMatch(/canary-upstream|weiradm_/)
  })

  test('a revoked admin token opens nothing more, and a process that died comes back with what is in force', async () => {
    const { code, err } = await start(
      weir.weir.folder.path,
      ['key', 'revoke', '--admin', 'dashboard', '--config', weir.weir.configFile],
      { input: '' },
    ).done
    expect(code, err).toBe(0)
    expect(
      (await ask('GET', '/v1/callers', undefined, { authorization: `Bearer ${reader.text}` })).status,
    ).toBe(401)
    expect(weir.weir.signal('admin', 'SIGKILL')).toHaveLength(1)
    await waitFor('it is back', async () => (await ask('GET', '/v1/callers')).status === 200)
    expect(
      (await ask('GET', '/v1/callers', undefined, { authorization: `Bearer ${reader.text}` })).status,
    ).toBe(401)
  })
})
