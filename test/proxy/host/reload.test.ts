import { fork } from 'node:child_process'
import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Host } from '../../../proxy/host/host.ts'
import { Log } from '../../../proxy/host/log.ts'
import {
  call,
  fixture,
  type Harness,
  initialize,
  isRunning,
  modern,
  openSession,
  startHost,
  textOf,
  until,
} from './harness.ts'

let harness: Harness
beforeEach(async () => {
  harness = await startHost({ one: fixture(), modern: fixture(['--modern']) })
})
afterEach(() => harness.close())

const pidOf = async (session: Record<string, string>): Promise<number> =>
  Number(textOf(await harness.send('one', call('pid'), session)))

describe('reload', () => {
  test('leaves unchanged servers and their sessions alone, and takes over limits', async () => {
    const session = await openSession(harness, 'one')
    const pid = await pidOf(session)
    harness.reload({ one: fixture([], { processes_max: 1 }), added: fixture() })
    expect(await pidOf(session)).toBe(pid)
    expect(harness.host.metrics().servers.one!.processes_max).toBe(1)
    expect((await harness.send('added', initialize())).status).toBe(200)
    expect((await harness.send('modern', initialize())).status).toBe(404)
  })

  test('a changed server finishes its calls on the old child, then the child ends', async () => {
    const session = await openSession(harness, 'one')
    const pid = await pidOf(session)
    const standing = await harness.open('one', null, session)
    const stream = await harness.open('one', call('ask', {}, 'a'), session)
    const { id } = JSON.parse((await stream.next()) ?? '')
    harness.reload({ one: fixture([], { env: { NEW: '1' } }) })
    expect(await standing.next()).toBeNull()
    expect((await harness.send('one', call('pid'), session)).status).toBe(404)
    const fresh = await openSession(harness, 'one')
    expect(await pidOf(fresh)).not.toBe(pid)
    expect(isRunning(pid)).toBe(true)
    expect(
      (await harness.send('one', { jsonrpc: '2.0', id, result: { still: 'here' } }, session)).status,
    ).toBe(202)
    expect(JSON.parse((await stream.next()) ?? '')).toMatchObject({
      id: 'a',
      result: { content: [{ text: '{"still":"here"}' }] },
    })
    await until(() => !isRunning(pid))
  })

  test('a removed server ends its listen streams and children', async () => {
    const { body, headers } = modern('subscriptions/listen', { notifications: {} })
    const stream = await harness.open('modern', body, headers)
    await stream.next()
    await stream.next()
    harness.reload({ one: fixture() })
    expect(await stream.next()).toBeNull()
    await until(() => (harness.host.status() as { servers_retiring: string[] }).servers_retiring.length === 0)
  })

  test('changes nothing when one server cannot be read', async () => {
    const session = await openSession(harness, 'one')
    const pid = await pidOf(session)
    expect(() =>
      harness.reload({ one: fixture(['--modern']), bad: fixture([], { command: 'a "b' }) }),
    ).toThrow('server "bad": the command has an open double quote')
    expect(await pidOf(session)).toBe(pid)
    expect((await harness.send('bad', initialize())).status).toBe(404)
  })
})

describe('drain', () => {
  test('waits for calls, refuses new ones, leaves no child', async () => {
    const session = await openSession(harness, 'one')
    const pid = await pidOf(session)
    const stream = await harness.open('one', call('ask', {}, 'a'), session)
    await stream.next()
    const drained = harness.host.drain()
    await drained
    // Nobody answered: after the drain timeout the child is ended and the call told so.
    expect(JSON.parse((await stream.next()) ?? '')).toMatchObject({
      id: 'a',
      error: { data: { weir: 'upstream_closed' } },
    })
    expect(isRunning(pid)).toBe(false)
  })
})

describe('the socket', () => {
  const folder = (): string => mkdtempSync(join(tmpdir(), 'weir-socket-'))
  const start = (socket: string): Promise<string> =>
    new Host({}, new Log('error', () => {})).start({ socket, servers: {}, log_level: 'error' })

  test('is for its owner only', () => {
    expect(statSync(harness.socket).mode & 0o777).toBe(0o600)
  })

  test('of a living host is not taken over', async () => {
    await expect(start(harness.socket)).rejects.toThrow('another host')
  })

  test('left by a dead host is replaced, another file is not', async () => {
    const path = join(folder(), 'x.sock')
    writeFileSync(path, '')
    await expect(start(path)).rejects.toThrow('not a socket')
  })

  test('whose path is too long is refused in words', async () => {
    await expect(start(join(folder(), 'x'.repeat(120)))).rejects.toThrow('longer than 107 bytes')
  })
})

describe('main', () => {
  test('speaks with its supervisor: start, ask, reload, drain', async () => {
    const socket = join(mkdtempSync(join(tmpdir(), 'weir-main-')), 'host.sock')
    const main = join(import.meta.dirname, '../../../proxy/host/main.ts')
    const options = { socket, log_level: 'info', servers: { one: fixture() } }
    const start = async (): Promise<ReturnType<typeof fork>> => {
      const child = fork(main, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
      child.send({ type: 'start', options })
      expect(await said(child)).toEqual({ type: 'ready', address: socket })
      return child
    }
    const said = (child: ReturnType<typeof fork>): Promise<unknown> =>
      new Promise((resolve) => child.once('message', resolve))
    const first = await start()
    first.kill('SIGKILL')
    await new Promise((resolve) => first.once('exit', resolve))
    const child = await start()
    child.send({ type: 'ask', id: 1, question: 'metrics' })
    expect(await said(child)).toMatchObject({
      type: 'answer',
      id: 1,
      answer: { servers: { one: { sessions: 0 } } },
    })
    child.send({ type: 'reload', id: 2, options: { ...options, socket: '/elsewhere' } })
    expect(await said(child)).toMatchObject({
      type: 'reloaded',
      id: 2,
      error: expect.stringContaining('socket'),
    })
    child.send({ type: 'ping', id: 3 })
    expect(await said(child)).toEqual({ type: 'pong', id: 3 })
    child.send({ type: 'drain' })
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0)
  })
})
