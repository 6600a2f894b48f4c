/**
 * Keys on a real Weir with two workers: made, used, rotated, revoked by the commands, while clients hold connections and streams.
 * Revoked means on every worker, on open connections too, within a second; and who did it is on the record.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { kindOfKey } from '../../config/key-text.ts'
import { jsonLines, type Result, start } from '../cli/support/weir.ts'
import { callTool, initialize, send, toolCall } from '../support/client.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'
import { type Observed, startObserved } from './support/observed.ts'

const PATH = '/servers/stub/mcp'
const ASKED_OF_ALL = 24

type Made = { caller: string; id: string; key: string; state: string; old_id?: string; old_expires?: string }

let upstream: UpstreamStub
let weir: Observed

const command = (words: readonly string[], input = ''): Promise<Result> =>
  start(weir.weir.folder.path, [...words, '--config', weir.weir.configFile], { input }).done
async function make(...words: string[]): Promise<Made> {
  const { code, out, err } = await command(['key', ...words, '--json'])
  expect(code, err).toBe(0)
  return JSON.parse(out) as Made
}
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
/** Statuses of calls on as many new connections: with two workers and round robin, both answer. */
async function statuses(key: string): Promise<number[]> {
  const answers = await Promise.all(
    Array.from({ length: ASKED_OF_ALL }, (_, i) =>
      send(`${weir.url}${PATH}`, toolCall(`s${i}`, 'echo', {}), { headers: bearer(key) }),
    ),
  )
  return [...new Set(answers.map(({ status }) => status))]
}

beforeAll(async () => {
  upstream = await startUpstream({})
  weir = await startObserved({ workers: 2, servers: { stub: { url: upstream.url } } })
}, 120_000)
afterAll(async () => {
  await weir?.stop()
  await upstream?.end()
})

describe('keys', () => {
  let first: Made

  test('the first key closes the door to whoever has none, and opens it to its holder', async () => {
    expect((await send(`${weir.url}${PATH}`, toolCall('open', 'echo', {}))).status).toBe(200)
    first = await make('create', 'rm-agent', '--team', 'research', '--note', 'laptop')
    expect(first).toMatchObject({ caller: 'rm-agent', state: 'in_force' })
    expect(kindOfKey(first.key)).toBe('caller')
    expect(await statuses(first.key)).toEqual([200])
    expect((await send(`${weir.url}${PATH}`, toolCall('none', 'echo', {}))).status).toBe(401)
  })

  test('the secret is in no file, no output of the installation and no table', async () => {
    expect(readFileSync(weir.weir.configFile, 'utf8')).not.toContain(first.key)
    expect(weir.weir.output).not.toContain(first.key)
    await weir.settled()
    expect(await weir.store.dump()).not.toContain(first.key)
    const { out } = await command(['key', 'list', '--json'])
    expect(out).not.toContain(first.key)
  })

  test('a key is not opened by its digest, its case, its parts or a space in it', async () => {
    const { sha256 } = JSON.parse(readFileSync(weir.weir.configFile, 'utf8')).callers['rm-agent'].keys[0]
    const { key } = first
    const tricks = [
      sha256,
      key.toLowerCase(),
      key.toUpperCase(),
      key.slice(0, -1),
      `${key}x`,
      key.replace('weir_', ''),
      `${key.slice(0, 20)} ${key.slice(20)}`,
      `${key},${key}`,
    ]
    for (const trick of tricks)
      expect(
        (await send(`${weir.url}${PATH}`, toolCall('t', 'echo', {}), { headers: bearer(trick) })).status,
        trick,
      ).toBe(401)
    for (const headers of [
      { authorization: `Basic ${Buffer.from(`rm-agent:${key}`).toString('base64')}` },
      { 'x-api-key': key },
      { cookie: `authorization=${key}` },
      { 'proxy-authorization': `Bearer ${key}` },
    ] as Record<string, string>[])
      expect((await send(`${weir.url}${PATH}`, toolCall('t', 'echo', {}), { headers })).status).toBe(401)
  })

  test('list tells the last use of each key, and what it is for', async () => {
    await make('create', 'rm-agent', '--id', 'unused', '--expires', '90d')
    await waitFor(
      'the call is stored',
      async () =>
        (await weir.store.number(`SELECT count() FROM calls WHERE principal = 'rm-agent#${first.id}'`)) > 0,
    )
    const rows = jsonLines<{ id: string; last_used: string | null; state: string; note: string | null }>(
      (await command(['key', 'list', 'rm-agent', '--json'])).out,
    )
    expect(rows.find(({ id }) => id === first.id)).toMatchObject({ state: 'valid', note: 'laptop' })
    expect(Date.now() - Date.parse(rows.find(({ id }) => id === first.id)!.last_used!)).toBeLessThan(600_000)
    expect(rows.find(({ id }) => id === 'unused')).toMatchObject({ last_used: null })
  })

  test('a rotated key goes on beside its successor until the overlap ends, and no longer', async () => {
    const old = await make('create', 'rotating')
    const next = await make('rotate', `rotating#${old.id}`, '--overlap', '3s')
    expect(await statuses(next.key)).toEqual([200])
    expect(Date.parse(next.old_expires!) - Date.now()).toBeLessThan(3_000)
    await waitFor('the old key has run out', async () => {
      const seen = await statuses(old.key)
      return seen.length === 1 && seen[0] === 401
    })
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(next.old_expires!))
    expect(await statuses(next.key)).toEqual([200])
  })

  test('rotated without overlap, the old key is gone at once', async () => {
    const old = await make('create', 'at-once')
    const next = await make('rotate', `at-once#${old.id}`, '--overlap', '0s')
    expect(await statuses(old.key)).toEqual([401])
    expect(await statuses(next.key)).toEqual([200])
  })

  test('a rotation keeps what limits the key', async () => {
    const old = await make('create', 'limited', '--scope', 'stub/ec*', '--user', 'ada', '--expires', '2h')
    const next = await make('rotate', `limited#${old.id}`, '--overlap', '0s')
    const [row] = jsonLines<object>((await command(['key', 'list', 'limited', '--json'])).out)
    expect(row).toMatchObject({ id: next.id, scope: ['stub/ec*'], user: 'ada' })
  })

  test('revoked is refused when the command returns: on every worker, on connections that were open', async () => {
    const { key, id } = await make('create', 'leaver')
    const agents = Array.from({ length: 8 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
    const ask = (agent: Agent) =>
      send(`${weir.url}${PATH}`, toolCall('k', 'echo', {}), { headers: bearer(key), agent })
    for (const agent of agents) expect((await ask(agent)).status).toBe(200)
    expect((await command(['key', 'revoke', `leaver#${id}`])).out).toContain('in force on every worker')
    for (const agent of agents) expect((await ask(agent)).status).toBe(401)
    expect(await statuses(key)).toEqual([401])
    for (const agent of agents) agent.destroy()
  })

  test("a revoked key closes the streams and the WebSocket that were opened with it, and nobody else's", async () => {
    const leaver = await make('create', 'listener')
    const other = await make('create', 'other-listener')
    const open = (key: string) =>
      new Promise<IncomingMessage>((resolve, reject) =>
        get(`${weir.url}/sse`, { headers: { accept: 'text/event-stream', ...bearer(key) } }, resolve).on(
          'error',
          reject,
        ),
      )
    const ended = (stream: IncomingMessage) =>
      new Promise<void>((resolve) =>
        stream
          .on('close', resolve)
          .on('error', () => {})
          .resume(),
      )
    const socket = (key: string) =>
      new Promise<WebSocket>((resolve, reject) => {
        const one = new WebSocket(`${weir.url.replace('http', 'ws')}/mcp`, 'mcp', { headers: bearer(key) })
        one.once('open', () => resolve(one)).once('error', reject)
      })
    const [mine, theirs] = [await open(leaver.key), await open(other.key)]
    const [mySocket, theirSocket] = [await socket(leaver.key), await socket(other.key)]
    let isTheirsClosed = false
    theirs.on('close', () => (isTheirsClosed = true)).resume()
    const closed = new Promise<number>((resolve) => mySocket.once('close', resolve))
    const gone = ended(mine)
    await command(['key', 'revoke', `listener#${leaver.id}`])
    await gone
    expect(await closed).toBe(1008)
    expect(isTheirsClosed).toBe(false)
    expect(theirSocket.readyState).toBe(WebSocket.OPEN)
    theirs.destroy()
    theirSocket.close()
  })

  test('a session that a revoked key opened is closed to it, and open to another key of its caller', async () => {
    const { key, id } = await make('create', 'session-holder')
    const spare = await make('create', 'session-holder')
    const opened = await send(`${weir.url}/mcp`, initialize('i'), { headers: bearer(key) })
    const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    const ask = (secret: string) =>
      callTool(`${weir.url}/mcp`, 'c', 'stub_echo', {}, { headers: { ...session, ...bearer(secret) } })
    expect((await ask(key)).status).toBe(200)
    await command(['key', 'revoke', `session-holder#${id}`])
    expect((await ask(key)).status).toBe(401)
    expect((await ask(spare.key)).status).toBe(200)
  })

  test('a leaked key is revoked by itself, and one that Weir never made is told from one that is gone', async () => {
    const { key, id } = await make('create', 'leaky')
    expect((await command(['key', 'revoke', '-'], `${key}\n`)).out).toContain(`leaky#${id} revoked`)
    expect(await statuses(key)).toEqual([401])
    expect((await command(['key', 'revoke', '-'], key)).err).toContain('revoked already')
    expect((await command(['key', 'revoke', '-'], `${key.slice(0, -1)}0`)).err).toContain(
      'none that Weir made',
    )
  })

  test('with all keys of all callers revoked nobody may call: the door does not open again', async () => {
    const text = readFileSync(weir.weir.configFile, 'utf8')
    const config = JSON.parse(text)
    config.callers = { 'rm-agent': config.callers['rm-agent'] }
    writeFileSync(weir.weir.configFile, JSON.stringify(config, null, 1))
    expect((await command(['key', 'revoke', 'rm-agent', '--all'])).out).toContain('in force')
    expect(JSON.parse(readFileSync(weir.weir.configFile, 'utf8')).callers).toEqual({
      'rm-agent': expect.objectContaining({ keys: [] }),
    })
    expect(await statuses(first.key)).toEqual([401])
    expect((await send(`${weir.url}${PATH}`, toolCall('none', 'echo', {}))).status).toBe(401)
  })

  test('a personal token carries its user, its id and its scope into every event', async () => {
    const { key, id } = await make('create', 'desk', '--team', 'bank', '--user', 'ada', '--scope', 'stub/*')
    expect(await statuses(key)).toEqual([200])
    const [row] = await weir.events(`principal = 'desk#${id}'`)
    expect(row).toMatchObject({ caller: 'desk', team: 'bank', auth_method: 'api_key', tags: { user: 'ada' } })
  })

  test('a token opens nothing beyond its scope, at the endpoint of the server and under the roof', async () => {
    const { key, id } = await make('create', 'desk', '--user', 'bob', '--scope', 'stub/other_*')
    const opened = await send(`${weir.url}/mcp`, initialize('i'), { headers: bearer(key) })
    const session = { 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    for (const [path, tool, more] of [
      [PATH, 'echo', {}],
      ['/mcp', 'stub_echo', session],
    ] as [string, string, Record<string, string>][]) {
      const headers = { ...more, ...bearer(key) }
      const { message } = await send(`${weir.url}${path}`, toolCall('beyond', tool, {}), { headers })
      expect(message?.result, path).toBeUndefined()
      expect(message?.error, path).toBeDefined()
    }
    const rows = await weir.events(`principal = 'desk#${id}' AND request_id LIKE '%beyond%'`, 2)
    expect(rows.map(({ outcome, decision }) => [outcome, decision])).toEqual([
      ['denied', 'deny'],
      ['denied', 'deny'],
    ])
  })

  test('a key that runs out is refused from its moment on', async () => {
    const { key } = await make('create', 'brief', '--expires', '3s')
    await waitFor('it has run out', async () => (await statuses(key)).join() === '401')
  })

  test('a file that Weir refuses is said to be not in force, with exit code 1', async () => {
    const text = readFileSync(weir.weir.configFile, 'utf8')
    const broken = JSON.parse(text)
    broken.workers = 3
    writeFileSync(weir.weir.configFile, JSON.stringify(broken, null, 1))
    const { code, err } = await command(['key', 'create', 'late'])
    expect(code).toBe(1)
    expect(err).toMatch(/NOT IN FORCE: workers cannot change while running/)
    writeFileSync(weir.weir.configFile, text)
    await waitFor('the old text is in force again', () =>
      /config reloaded[^\n]*\n[^\n]*$/.test(weir.weir.output),
    )
  })

  test('every change is on the record: who, when, from what to what, and on the charts', async () => {
    type Change = {
      section: string
      name: string
      action: string
      who: string
      via: string
      before: string
      after: string
    }
    const seen = await waitFor('the changes are stored', async () => {
      const { out } = await command(['changes', '--json', '--limit', '1000'])
      const rows = jsonLines<Change>(out)
      return rows.some(({ name }) => name.startsWith('brief#')) && rows
    })
    const mine = seen.filter(({ section, name }) => section === 'keys' && name === `rm-agent#${first.id}`)
    expect(mine).toMatchObject([
      { action: 'removed', via: 'command', after: '' },
      { action: 'added', via: 'command', before: '' },
    ])
    expect(mine[0]!.who).toMatch(/.+@.+/)
    expect(mine[1]!.after).toMatch(/"sha256":"[0-9a-f]{8}…"/)
    expect(
      seen.some(
        ({ section, name, action }) =>
          section === 'keys' && name.startsWith('leaver#') && action === 'removed',
      ),
    ).toBe(true)
    expect(JSON.stringify(seen)).not.toMatch(/[0-9a-f]{64}|weir_/)
    const drawn = await weir.store.rows<{ title: string; detail: string }>(
      "SELECT title, detail FROM annotations WHERE kind = 'access' ORDER BY ts",
    )
    expect(drawn.map(({ title }) => title)).toContain(`key rm-agent#${first.id} added`)
    expect(drawn[0]!.detail).toMatch(/^by .+ \(command\)$/)
  })

  test('an edit by hand is on the record without a name', async () => {
    const config = JSON.parse(readFileSync(weir.weir.configFile, 'utf8'))
    config.teams = { research: { budget_usd_per_month: 400 } }
    writeFileSync(weir.weir.configFile, JSON.stringify(config, null, 1))
    const [row] = await waitFor('it is stored', async () => {
      const rows = jsonLines<object>((await command(['changes', '--section', 'teams', '--json'])).out)
      return rows.length > 0 && rows
    })
    expect(row).toMatchObject({ name: 'research', action: 'added', who: '', via: 'file' })
  })
})
