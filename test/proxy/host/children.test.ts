import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  call,
  fixture,
  type Harness,
  initialize,
  isRunning,
  openSession,
  server,
  startHost,
  textOf,
  until,
} from './harness.ts'

let harness: Harness
const OWN = { PATH: process.env.PATH, HOME: '/nowhere', WEIR_SECRET: 'hunter2' }
beforeAll(async () => {
  harness = await startHost(
    {
      one: fixture([], { processes_max: 100, env: { TOKEN: 't' }, cwd: '/' }),
      dies: fixture(['--die']),
      silent: fixture(['--silent'], { timeout_ms: 300 }),
      stubborn: fixture(['--ignore-end'], { isolation: 'session' }),
      nowhere: server(['no-such-program', '--token', 'hunter2']),
      line: server([], { command: `"${process.execPath}" -e 'process.exit(5)'` }),
    },
    OWN,
  )
})
afterAll(() => harness.close())

const metrics = (name: string) => harness.host.metrics().servers[name]!

describe('starting', () => {
  test('a command that does not exist is named by its first word only', async () => {
    const answer = await harness.send('nowhere', initialize({}, 'x'))
    expect([answer.status, answer.messages[0]!.id]).toEqual([502, 'x'])
    expect(answer.messages[0]!.error.message).toContain('"no-such-program"')
    expect(answer.messages[0]!.error.data).toMatchObject({ weir: 'spawn_failed', error: 'ENOENT' })
    expect(answer.text).not.toContain('hunter2')
    expect(metrics('nowhere').spawn_failures).toBe(1)
  })

  test('children see the allow-list and their config, and run in their folder', async () => {
    const session = await openSession(harness, 'one', 'env')
    const env = JSON.parse(textOf(await harness.send('one', call('env'), session)))
    expect(env).toMatchObject({ PATH: OWN.PATH, HOME: '/nowhere', TOKEN: 't' })
    expect(JSON.stringify(env)).not.toContain('hunter2')
    expect(textOf(await harness.send('one', call('cwd'), session))).toBe('/')
  })

  test('one that dies at once is answered with its exit code, then waited for with growing pauses', async () => {
    const first = await harness.send('dies', initialize())
    expect(first.messages[0]!.error).toMatchObject({
      code: -32603,
      data: { weir: 'upstream_closed', exit_code: 3, signal: null },
    })
    let second = first
    await until(async () => {
      second = await harness.send('dies', initialize())
      return second.status === 503
    })
    expect(second.messages[0]!.error.data).toMatchObject({ weir: 'restarting', exit_code: 3 })
    const { failures } = second.messages[0]!.error.data
    expect(Number(second.headers['retry-after'])).toBeGreaterThanOrEqual(1)
    const pause = second.messages[0]!.error.data.retry_after_ms
    expect(pause).toBeGreaterThan(0)
    expect(pause).toBeLessThanOrEqual(250 * 2 ** (failures - 1))
    let last = second
    await until(async () => {
      last = await harness.send('dies', initialize())
      return last.messages[0]!.error.data.failures > failures
    })
    expect(metrics('dies')).toMatchObject({ crashes: failures + 1, restarts: failures })
    expect(last.text + second.text).not.toContain('hunter2')
    expect(
      (await harness.send('dies', initialize(), { 'weir-principal': 'bob' })).messages[0]!.error.data.weir,
    ).toBe('upstream_closed')
  })

  test('its stderr is in the log, under the name of the server', async () => {
    await harness.send('dies', initialize(), { 'weir-principal': 'logged' })
    await until(() => harness.log.some((line) => line.includes('hunter2')))
    const line = JSON.parse(harness.log.find((entry) => entry.includes('hunter2')) ?? '')
    expect(line).toMatchObject({ message: 'stderr', server: 'dies', line: 'the secret is hunter2' })
  })

  test('one that never answers initialize is ended, and the client told', async () => {
    const answer = await harness.send('silent', initialize())
    expect([answer.status, answer.messages[0]!.error.data.weir]).toEqual([504, 'initialize_timeout'])
    await until(() => metrics('silent').processes.ending === 0)
  })

  test('a command line is split without a shell', async () => {
    const answer = await harness.send('line', initialize())
    expect(answer.messages[0]!.error.data).toMatchObject({ exit_code: 5 })
  })
})

describe('dying', () => {
  test('open calls are answered with how it ended, the session is gone, the next one gets a new child', async () => {
    const session = await openSession(harness, 'one', 'crash')
    const stream = await harness.open('one', null, session)
    const held = harness.send('one', call('hold', {}, 'h'), session)
    await until(() => metrics('one').calls_open === 1)
    const crashed = await harness.send('one', call('crash', { code: 9 }, 'c'), session)
    for (const [answer, id] of [
      [crashed, 'c'],
      [await held, 'h'],
    ] as const) {
      expect(answer.status).toBe(200)
      expect(answer.messages[0]).toMatchObject({
        id,
        error: { code: -32603, data: { weir: 'upstream_closed', exit_code: 9, signal: null } },
      })
    }
    expect(await stream.next()).toBeNull()
    expect((await harness.send('one', call('pid'), session)).status).toBe(404)
    await until(
      async () => (await harness.send('one', initialize(), { 'weir-principal': 'crash' })).status === 200,
    )
  })

  test('a stream in flight gets the error as its last event', async () => {
    const session = await openSession(harness, 'one', 'crash-stream')
    const stream = await harness.open('one', call('ask', {}, 1), session)
    await stream.next()
    await harness.send('one', call('kill', {}, 2), session)
    expect(JSON.parse((await stream.next()) ?? '')).toMatchObject({
      id: 1,
      error: { data: { signal: 'SIGKILL' } },
    })
    expect(await stream.next()).toBeNull()
  })

  test('its whole process group goes with it', async () => {
    const session = await openSession(harness, 'one', 'group')
    const grandchild = Number(textOf(await harness.send('one', call('grandchild'), session)))
    expect(isRunning(grandchild)).toBe(true)
    await harness.send('one', call('crash', { code: 0 }), session)
    await until(() => !isRunning(grandchild))
  })

  test('one that ignores everything is killed', { timeout: 15_000 }, async () => {
    const session = await openSession(harness, 'stubborn')
    const pid = Number(textOf(await harness.send('stubborn', call('pid'), session)))
    await harness.send('stubborn', '', session, 'DELETE')
    await until(() => !isRunning(pid))
    await until(() =>
      harness.log.some((line) => line.includes(`"pid":${pid},"exit_code":null,"signal":"SIGKILL"`)),
    )
  })
})

describe('misbehaving', () => {
  test('what is no message is logged in part and skipped', async () => {
    const answer = await harness.send('one', call('garbage'), await openSession(harness, 'one', 'garbage'))
    expect(textOf(answer)).toBe('fine')
    const lines = harness.log
      .filter((line) => line.includes('is no message'))
      .map((line) => JSON.parse(line).line)
    expect(lines).toEqual(['this is not JSON', '[1, 2', '"a string"'])
  })

  test('answers to no open call, and requests of every kind of id, do no harm', async () => {
    const session = await openSession(harness, 'one', 'odd')
    const text = [
      '{"jsonrpc":"2.0","id":"unknown","result":{}}',
      '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}',
      '{"jsonrpc":"2.0"}',
      'null',
      '{"jsonrpc":"2.0","id":$ID,"result":{}}',
    ].join('\n')
    expect((await harness.send('one', call('raw', { text }), session)).messages).toEqual([
      { jsonrpc: '2.0', id: 2, result: {} },
    ])
  })

  test('a reader that stops reading stops the child, and everything arrives once it reads again', async () => {
    const session = await openSession(harness, 'one', 'slow')
    const stream = await harness.open('one', call('flood', { bytes: 100_000, count: 300 }), session)
    stream.pause()
    const written = (): number => harness.log.filter((line) => line.includes('"line":"flooded ')).length
    let before = -1
    await until(async () => {
      const now = written()
      const is_standing = now === before
      before = now
      await new Promise((resolve) => setTimeout(resolve, 300))
      return is_standing && now > 0
    })
    // 30 lines are the whole flood of 30 MB; pipes, sockets and the host hold a few MB.
    expect(written()).toBeLessThan(20)
    stream.resume()
    let count = 0
    for (let event = await stream.next(); event !== null; event = await stream.next()) count++
    expect(count).toBe(301)
  })

  test('a child that stops reading makes requests wait, and loses none', async () => {
    const session = await openSession(harness, 'one', 'deaf')
    await harness.send('one', call('deaf', { ms: 500 }, 'd'), session)
    const big = 'z'.repeat(400_000)
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => harness.send('one', call('pid', { big }, i), session)),
    )
    expect(answers.map((answer) => answer.messages[0]!.id)).toEqual(Array.from({ length: 40 }, (_, i) => i))
  })

  test('a large answer passes whole', async () => {
    const session = await openSession(harness, 'one', 'large')
    const text = `{"jsonrpc":"2.0","id":$ID,"result":{"x":"${'y'.repeat(3_000_000)}"}}`
    expect((await harness.send('one', call('raw', { text }, 'L'), session)).text).toBe(
      text.replace('$ID', '"L"'),
    )
  })
})
