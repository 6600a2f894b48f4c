/** A bound on the memory of children, and what is left when the host itself is killed. Linux only. */
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  call,
  FIXTURE,
  fixture,
  type Harness,
  initialize,
  isRunning,
  openSession,
  PLAIN,
  server,
  startHost,
  textOf,
  until,
} from './harness.ts'

const MB = 1024 * 1024
const MAX = 250 * MB

describe.skipIf(process.platform !== 'linux')('memory_max_bytes', () => {
  let harness: Harness
  beforeAll(async () => {
    harness = await startHost({
      bounded: fixture([], { memory_max_bytes: MAX, processes_max: 20 }),
      free: fixture(),
    })
  })
  afterAll(() => harness.close())

  test.each([
    ['itself', 'eat'],
    ['what it started', 'eat_elsewhere'],
  ])('%s: above it all end, calls say why, and the next child comes after a pause', async (who, tool) => {
    const session = await openSession(harness, 'bounded', who)
    const pid = Number(textOf(await harness.send('bounded', call('pid'), session)))
    const answer = await harness.send('bounded', call(tool, { bytes: 300 * MB }, 'big'), session)
    const { data, message } = answer.messages[0]!.error
    expect(data).toMatchObject({ weir: 'memory_exceeded', memory_max_bytes: MAX })
    expect(data.memory_bytes).toBeGreaterThan(MAX)
    expect(message).toContain('memory')
    expect(isRunning(pid)).toBe(false)
    const lines = harness.log.map((line) => JSON.parse(line)).filter((line) => line.pid === pid)
    expect(lines.find((line) => line.level === 'error')).toMatchObject({
      server: 'bounded',
      memory_bytes: data.memory_bytes,
      memory_max_bytes: MAX,
    })
    const next = await harness.send('bounded', initialize(), { 'weir-principal': who })
    // The pause may be over already.
    if (next.status !== 200)
      expect(next.messages[0]!.error.data).toMatchObject({ weir: 'restarting', memory_max_bytes: MAX })
    await until(
      async () => (await harness.send('bounded', initialize(), { 'weir-principal': who })).status === 200,
    )
  })

  test('counts as a crash; others are left alone', async () => {
    expect(harness.host.metrics().servers.bounded!.crashes).toBe(2)
    const session = await openSession(harness, 'free')
    void harness.send('free', call('eat', { bytes: 300 * MB }, 'big'), session)
    await openSession(harness, 'bounded', 'witness')
    await new Promise((resolve) => setTimeout(resolve, 2500))
    expect((await harness.send('free', call('pid'), session)).status).toBe(200)
  })
})

test('a host that is killed leaves no server behind, not even behind a launcher', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-killed-'))
  const socket = join(folder, 'host.sock')
  // As npx does: the server is a child of what was started, and has its standard input.
  const launcher = `require('node:child_process').spawn(process.execPath, [${JSON.stringify(FIXTURE)}], { stdio: 'inherit' })`
  const options = {
    socket,
    log_level: 'info',
    servers: { one: server([process.execPath, '-e', launcher], { era: 'legacy' }) },
  }
  const host = fork(join(import.meta.dirname, '../../../proxy/host/main.ts'), {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  host.send({ type: 'start', options })
  await new Promise((resolve) => host.once('message', resolve))
  const send = (body: object, headers: object = {}): Promise<{ session: string; text: string }> =>
    new Promise((resolve, reject) => {
      const all = { ...PLAIN, 'weir-principal': 'a', ...headers }
      const outgoing = request({ socketPath: socket, path: '/servers/one/mcp', method: 'POST', headers: all })
      outgoing.on('error', reject)
      outgoing.on('response', async (answer) => {
        let text = ''
        for await (const chunk of answer) text += chunk
        resolve({ session: String(answer.headers['mcp-session-id']), text })
      })
      outgoing.end(JSON.stringify(body))
    })
  const { session } = await send(initialize())
  const { text } = await send(call('pid'), { 'mcp-session-id': session })
  const pid = Number(JSON.parse(text).result.content[0].text)
  expect(isRunning(pid)).toBe(true)
  host.kill('SIGKILL')
  await until(() => !isRunning(pid))
  rmSync(folder, { recursive: true, force: true })
})
