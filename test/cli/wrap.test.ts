/**
 * `weir wrap` as a client starts it, in front of real processes: the bytes, the ends, the signals and what it says when it is
 * used wrongly. That its events are true is in test/cli/wrap/calls.test.ts, that they arrive in test/e2e/wrap.test.ts.
 */
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readLosses } from '../../proxy/spool/writer.ts'
import { type Folder, makeFolder, mountSmallDisk } from '../support/folder.ts'
import { isAlive, memoryOf } from '../support/processes.ts'
import { runSeed, seeded } from '../support/seed.ts'
import { waitFor } from '../support/wait.ts'
import { run, start } from './support/weir.ts'
import { bare, endAll, eventsIn, LineClient, type Wrapped, wrap } from './support/wrap.ts'

const SERVER = fileURLToPath(new URL('../proxy/host/fixtures/stdio-server.ts', import.meta.url))
const FIXTURE = [process.execPath, SERVER]
const node = (program: string): string[] => [process.execPath, '-e', program]

let folder: Folder
let data: string
beforeEach(() => {
  folder = makeFolder('wrap')
  data = join(folder.path, 'data')
})
afterEach(async () => {
  await endAll()
  folder.remove()
})

const here = (command: readonly string[], more: Parameters<typeof wrap>[2] = {}): Wrapped =>
  wrap(['--data', data], command, more)
const speak = (command: readonly string[] = FIXTURE): { wrapped: Wrapped; client: LineClient } => {
  const wrapped = here(command)
  return { wrapped, client: new LineClient(wrapped) }
}

describe('the bytes', () => {
  const random = seeded(runSeed('wrap'))
  const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random.int(256)))
  const call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}'
  const INPUTS: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['one byte, no line', Buffer.from('x')],
    [
      'messages as they are written',
      Buffer.from(` {"id" :1.0, "jsonrpc":"2.0","method":"ping"} \n${call}\n`),
    ],
    ['carriage returns, empty lines, no last newline', Buffer.from(`\r\n\n${call}\r\n\r\n\n{"a":1}`)],
    ['no JSON, half JSON, other JSON', Buffer.from('hello\n{"jsonrpc":\n[1,2\n[]\n"x"\n12\nnull\n{}\n')],
    [
      'invalid UTF-8, in and out of strings',
      Buffer.concat([
        Buffer.from('{"a":"\x80\xff\xc3('),
        noise(300),
        Buffer.from('"}\n\xf0\x9f\n', 'latin1'),
      ]),
    ],
    ['a byte order mark and NUL', Buffer.from('\ufeff{"a":1}\n\0\0\n')],
    ['noise', noise(200_000)],
    ['a line of 20 MB', Buffer.from(`{"jsonrpc":"2.0","method":"${'ü'.repeat(10_000_000)}"}\n`)],
    ['a line of 70 MB, more than is ever kept', Buffer.alloc(70_000_000, 'y')],
  ]

  it.each(INPUTS)('%s', async (_name, input) => {
    const wrapped = here(['cat'])
    wrapped.child.stdin!.end(input)
    expect(await wrapped.ended).toEqual({ code: 0, signal: null })
    expect(wrapped.out().equals(input)).toBe(true)
    expect(wrapped.err()).toBe('')
  })

  it('pieces arrive as pieces: nothing waits for the end of its line', async () => {
    const wrapped = here(['cat'])
    const whole = Buffer.from('{"text":"grüße 😀","id":"é"}\n')
    for (let i = 0; i < whole.length; i++) {
      wrapped.child.stdin!.write(whole.subarray(i, i + 1))
      await waitFor(`byte ${i}`, () => wrapped.out().length === i + 1)
    }
    expect(wrapped.out().equals(whole)).toBe(true)
  })

  it('a real server answers the very same', async () => {
    const everything = fileURLToPath(
      new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
    )
    const command = [process.execPath, everything, 'stdio']
    const input = Buffer.from(
      [
        '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}',
        '{"jsonrpc":"2.0","method":"notifications/initialized"}',
        '{"jsonrpc":"2.0","id":"1","method":"tools/list"}',
        '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"message":"grüße"}}}',
        'this is no JSON',
        '{"jsonrpc":"2.0","id":3,"method":"nobody/knows"}',
        '{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"get-tiny-image"}}',
        '',
      ].join('\n'),
    )
    const sorted = (bytes: Buffer): string[] => bytes.toString('latin1').split('\n').sort()
    const wrapped = here(command)
    wrapped.child.stdin!.end(input)
    const [direct, end] = await Promise.all([bare(command, input), wrapped.ended])
    expect(end).toEqual({ code: direct.code, signal: direct.signal })
    expect(direct.out.length).toBeGreaterThan(1000)
    // Answers of one moment may come in any order.
    expect(sorted(wrapped.out())).toEqual(sorted(direct.out))
  })

  it('the server’s stderr is passed on, and nothing is added', async () => {
    const wrapped = here(node('process.stderr.write("one\\ntwo"); process.stdout.write("out")'))
    await wrapped.ended
    expect(wrapped.err()).toBe('one\ntwo')
    expect(wrapped.out().toString()).toBe('out')
  })

  const MB = 1_048_576
  const FLOOD_MB = 200
  /** Writes a flood as fast as it is taken, tells on stderr how many MB were, and echoes its input there. */
  const flood = node(`
    const block = Buffer.alloc(${MB}, '{"jsonrpc":"2.0","method":"notifications/message"}\\n'.padEnd(64, ' '))
    process.stdin.on('data', (d) => process.stderr.write(d))
    let n = 0
    const go = () => {
      if (n === ${FLOOD_MB}) return process.exit(0)
      process.stdout.write(block, () => { n++; process.stderr.write('MB' + n + '\\n'); go() })
    }
    go()`)

  it('a client that does not read is waited for; the other way stays open and memory flat', async () => {
    const wrapped = here(flood, { collects: false })
    for (let i = 0; i < 50; i++) {
      wrapped.child.stdin!.write(`ping${i}.\n`)
      await waitFor('the server hears its client', () => wrapped.err().includes(`ping${i}.`))
    }
    const taken = Number(/MB(\d+)\n(?!.*MB)/s.exec(wrapped.err())?.[1] ?? 0)
    expect(taken).toBeLessThan(8)
    expect(memoryOf(wrapped.pid).peak_bytes).toBeLessThan(200 * MB)
    let bytes = 0
    wrapped.child.stdout!.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    expect((await wrapped.ended).code).toBe(0)
    expect(bytes).toBe(FLOOD_MB * MB)
  })

  it('a server that does not read is waited for; memory stays flat', async () => {
    const wrapped = here(node('setInterval(() => process.stdout.write("."), 5)'))
    await waitFor('it runs', () => wrapped.out().length > 0)
    const before = memoryOf(wrapped.pid).rss_bytes
    const block = Buffer.alloc(MB, 'x')
    for (let i = 0; i < FLOOD_MB; i++) wrapped.child.stdin!.write(block)
    const heard = wrapped.out().length
    await waitFor('the other way stays open', () => wrapped.out().length > heard + 100)
    // What the pipes hold, and no more, has left this process.
    expect(wrapped.child.stdin!.writableLength).toBeGreaterThan((FLOOD_MB - 4) * MB)
    expect(memoryOf(wrapped.pid).peak_bytes - before).toBeLessThan(40 * MB)
  })
})

describe('the ends', () => {
  it.each([0, 1, 42, 255])('exit code %i', async (code) => {
    expect(await here(node(`process.exit(${code})`)).ended).toEqual({ code, signal: null })
  })

  it.each(['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGHUP'] as const)('a server ended by %s', async (signal) => {
    expect(await here(['sh', '-c', `kill -${signal.slice(3)} $$`]).ended).toEqual({ code: null, signal })
  })

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s is passed on', async (signal) => {
    const polite = here(
      node(
        `process.on('${signal}', () => process.exit(9)); setInterval(() => {}, 1e3); process.stdout.write('up')`,
      ),
    )
    await waitFor('it is up', () => polite.out().includes('up'))
    polite.child.kill(signal)
    expect(await polite.ended).toEqual({ code: 9, signal: null })
    const plain = here(node(`setInterval(() => {}, 1e3); process.stdout.write('up')`))
    await waitFor('it is up', () => plain.out().includes('up'))
    plain.child.kill(signal)
    expect(await plain.ended).toEqual({ code: null, signal })
  })

  it('a server that takes no notice of a signal stays, and so do we', async () => {
    const { wrapped, client } = speak([...FIXTURE, '--ignore-end'])
    await client.tool(1, 'pid')
    wrapped.child.kill('SIGTERM')
    await client.tool(2, 'pid')
    wrapped.child.stdin!.end()
    wrapped.child.kill('SIGINT')
    expect(await wrapped.ended).toEqual({ code: null, signal: 'SIGINT' })
  })

  it('the end of the input is passed on, and what comes after it is still heard', async () => {
    const wrapped = here(
      node(`process.stdin.resume().on('end', () => setImmediate(() => process.stdout.write('late\\n')))`),
    )
    wrapped.child.stdin!.end('x')
    expect(await wrapped.ended).toEqual({ code: 0, signal: null })
    expect(wrapped.out().toString()).toBe('late\n')
  })

  it('everything a server wrote before it ended arrives, however slowly it is read', async () => {
    const wrapped = here(node(`process.stdout.write(Buffer.alloc(3e6, 'z'), () => process.exit(3))`), {
      collects: false,
    })
    await waitFor('the pipe is full', () => wrapped.child.stdout!.readableLength > 0)
    let bytes = 0
    wrapped.child.stdout!.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    expect((await wrapped.ended).code).toBe(3)
    expect(bytes).toBe(3e6)
  })

  it('a client that reads no more is told to the server', async () => {
    const wrapped = here(
      node(`setInterval(() => process.stdout.write('x\\n'), 5)
            process.stdout.on('error', (e) => { process.stderr.write(e.code); process.exit(8) })`),
      { collects: false },
    )
    await once(wrapped.child.stdout!, 'readable')
    wrapped.child.stdout!.destroy()
    expect((await wrapped.ended).code).toBe(8)
    expect(wrapped.err()).toContain('EPIPE')
  })

  it('nobody waits for what a server leaves behind', async () => {
    const wrapped = here(['sh', '-c', 'sleep 1000 & echo $!; exit 4'])
    wrapped.child.stdin!.end()
    const end = await new Promise((resolve) => wrapped.child.once('exit', (code) => resolve(code)))
    expect(end).toBe(4)
    process.kill(Number(wrapped.out().toString()), 'SIGKILL')
  })

  it('killed with SIGKILL: the server sees the end of its input, and no answer it gave is without its event', async () => {
    const random = seeded(runSeed('wrap-kill'))
    for (let round = 0; round < 5; round++) {
      const { wrapped, client } = speak()
      const pid = Number(
        ((await client.tool('pid', 'pid')) as { result: { content: { text: string }[] } }).result.content[0]!
          .text,
      )
      const calls = 1 + random.int(200)
      for (let i = 0; i < 400; i++)
        client.say({ id: `r${round}-${i}`, method: 'tools/call', params: { name: 'pid' } })
      await waitFor('some answers', () => client.heard().length >= calls)
      wrapped.child.kill('SIGKILL')
      expect((await wrapped.ended).signal).toBe('SIGKILL')
      await waitFor('the server is gone', () => !isAlive(pid))
      const answered = client.heard().map((m) => String(m.id))
      const recorded = eventsIn(data).map((e) => e.request_id)
      expect(answered.length).toBeGreaterThanOrEqual(calls)
      expect(answered.filter((id) => !recorded.includes(id))).toEqual([])
      expect(new Set(recorded).size + round).toBe(recorded.length)
    }
  })
})

describe('the data folder', () => {
  it('is shared by many at once, without its lock, and nothing is left but segments', async () => {
    const clients = Array.from({ length: 4 }, () => speak())
    await Promise.all(
      clients.map(({ client }, i) => client.tool(`same`, 'echo', { secret: 'equal', i: 0 * i })),
    )
    for (const { wrapped } of clients) wrapped.child.stdin!.end()
    await Promise.all(clients.map(({ wrapped }) => wrapped.ended))
    const events = eventsIn(data)
    expect(events.length).toBe(4)
    // One key for all: equal arguments, equal hash.
    expect(new Set(events.map((e) => e.arguments_hash)).size).toBe(1)
    expect(readdirSync(data).sort()).toEqual(['secrets.json', 'spool'])
    expect(readdirSync(join(data, 'spool')).filter((f) => !/^[0-9a-f]{16}-\d{8}\.ndjson$/.test(f))).toEqual(
      [],
    )
  })

  it('that cannot be written stops nothing, is said once, and what was lost is counted when it can', async () => {
    writeFileSync(join(folder.path, 'data'), 'a file')
    const { wrapped, client } = speak()
    for (let i = 0; i < 3; i++) await client.tool(i, 'pid')
    expect(wrapped.err()).toMatch(/^weir: the calls of stdio-server are not recorded: .*ENOTDIR.*\n$/)
    rmSync(join(folder.path, 'data'))
    let id = 3
    await waitFor('it records again', async () => {
      await client.tool(id++, 'pid')
      return existsSync(join(data, 'spool')) && eventsIn(data).length > 0
    })
    const spool = join(data, 'spool')
    const ledger = readLosses(join(spool, readdirSync(spool).find((f) => f.endsWith('.lost'))!))!
    expect(ledger.write_error + eventsIn(data).length).toBe(id)
    expect(ledger.write_error).toBeGreaterThanOrEqual(3)
    wrapped.child.stdin!.end()
    await wrapped.ended
    expect(readdirSync(spool).some((f) => f.endsWith('.lost'))).toBe(true)
    expect(wrapped.err().split('\n').length).toBe(2)
  })

  it('has the event of an answer before the answer has its end, however large', async () => {
    const { wrapped, client } = speak()
    await client.tool('first', 'pid')
    // Its line takes longer to be read than to be passed on.
    const text = `{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"type":"text","text":"${'ü'.repeat(4_000_000)}"}]}}`
    for (let i = 0; i < 5; i++) {
      const seen = new Promise<boolean>((resolve) => {
        const look = (chunk: Buffer): void => {
          if (chunk.at(-1) !== 10) return
          resolve(eventsIn(data).some((e) => e.request_id === String(i)))
          wrapped.child.stdout!.off('data', look)
        }
        wrapped.child.stdout!.on('data', look)
      })
      client.say({ id: i, method: 'tools/call', params: { name: 'raw', arguments: { text } } })
      expect(await seen).toBe(true)
    }
  })

  it('with secrets that cannot be read stops nothing', async () => {
    mkdirSync(data)
    writeFileSync(join(data, 'secrets.json'), '{"hash":')
    const { wrapped, client } = speak()
    await client.tool(1, 'pid')
    expect(wrapped.err()).toContain('secrets.json cannot be read')
    expect(readFileSync(join(data, 'secrets.json'), 'utf8')).toBe('{"hash":')
  })

  it('on a full disk stops nothing, and every event is there or counted', async () => {
    const disk = mountSmallDisk(data, 64 * 1024)
    if (!disk) return
    try {
      const { wrapped, client } = speak()
      const calls = 150
      for (let i = 0; i < calls; i++) await client.tool(i, 'pid')
      const spool = join(data, 'spool')
      const lost = readLosses(join(spool, readdirSync(spool).find((f) => f.endsWith('.lost'))!))!
      expect(lost.disk_full).toBeGreaterThan(0)
      expect(lost.disk_full + eventsIn(data).length).toBe(calls)
      expect(wrapped.err()).toBe('')
      wrapped.child.stdin!.end()
      await wrapped.ended
    } finally {
      disk.unmount()
    }
  })

  it('beyond its budget takes no more, whoever ships it or not, and the losses are counted', async () => {
    const config = join(folder.path, 'weir.yaml')
    writeFileSync(config, `data: ${data}\nspool: { max_bytes: 1048576, segment_bytes: 4096 }\n`)
    mkdirSync(join(data, 'spool'), { recursive: true })
    writeFileSync(join(data, 'spool', 'dddddddddddddddd-00000000.ndjson'), Buffer.alloc(1_200_000, '\n'))
    const wrapped = wrap(['--config', config], FIXTURE)
    const client = new LineClient(wrapped)
    for (let i = 0; i < 5; i++) await client.tool(i, 'pid')
    const spool = join(data, 'spool')
    const lost = readLosses(join(spool, readdirSync(spool).find((f) => f.endsWith('.lost'))!))!
    expect(lost.spool_full).toBe(5)
    rmSync(join(spool, 'dddddddddddddddd-00000000.ndjson'))
    let id = 5
    await waitFor('there is room again', async () => {
      await client.tool(id++, 'pid')
      return eventsIn(data).length > 0
    })
  })
})

describe('settings', () => {
  const server = `command: [x], env: { TOKEN: hunter2hunter2 }`
  const write = (text: string, path = folder.path): string => {
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, 'weir.yaml'), `data: ${data}\n${text}`)
    return join(path, 'weir.yaml')
  }
  const events = async (wrapped: Wrapped): Promise<ReturnType<typeof eventsIn>> => {
    wrapped.child.stdin!.end()
    await wrapped.ended
    expect(wrapped.err()).toBe('')
    return eventsIn(data)
  }

  it('come from the config: data folder, capture, labels, caller, environment; the name by --name', async () => {
    const key = 'k'.repeat(40)
    const sha256 = (await import('node:crypto')).hash('sha256', key)
    const config = write(`env: prod
servers: { docs: { ${server} } }
callers: { bot: { team: red, project: p1, keys: [ { sha256: ${sha256} } ] } }
capture: { arguments: size, results: size, keep: [ { tools: "docs_e*", arguments: true } ] }
`)
    const wrapped = wrap(['--config', config, '--name', 'docs'], FIXTURE, {
      env: { WEIR_KEY: key, SOME_TOKEN: 'swordfish-swordfish' },
    })
    const client = new LineClient(wrapped)
    client.say({
      id: 1,
      method: 'tools/call',
      params: {
        name: 'env',
        arguments: { city: 'Köln', say: 'swordfish-swordfish hunter2hunter2' },
        _meta: { baggage: 'agent=a7,other=no' },
      },
    })
    const answer = JSON.stringify(await client.answer(1))
    // The key is ours, the rest of the environment is the server's.
    expect(answer).not.toContain(key)
    expect(answer).toContain('swordfish-swordfish')
    const [event] = await events(wrapped)
    expect(event).toMatchObject({
      server: 'docs',
      env: 'prod',
      caller: 'bot',
      team: 'red',
      project: 'p1',
      principal: `bot#${sha256.slice(0, 8)}`,
      auth_method: 'api_key',
      agent: 'a7',
      arguments_hash: '',
      result_hash: '',
      captured_arguments: '{"city":"Köln","say":"[secret] [secret]"}',
    })
  })

  it('a server finds the programs it would find without us, though npx puts our Node first', async () => {
    const bin = join(folder.path, '_npx', 'abc', 'node_modules', '.bin')
    mkdirSync(bin, { recursive: true })
    symlinkSync(process.execPath, join(bin, 'node'))
    const path = `/usr/bin:${bin}:/bin`
    const wrapped = here(['sh', '-c', 'echo "$PATH"; pwd; echo "$X"'], {
      env: { PATH: path, X: 'y z' },
      cwd: bin,
    })
    await wrapped.ended
    expect(wrapped.out().toString()).toBe(`/usr/bin:/bin:${bin}\n${bin}\ny z\n`)
  })

  it('a key that is not valid belongs to nobody, and stops nothing', async () => {
    const config = write(`callers: { bot: { keys: [ { sha256: "${'0'.repeat(64)}" } ] } }\n`)
    const wrapped = wrap(['--config', config], FIXTURE, { env: { WEIR_KEY: 'wrong' } })
    await new LineClient(wrapped).tool(1, 'pid')
    expect((await events(wrapped))[0]).toMatchObject({ caller: '', auth_method: 'none', principal: '' })
  })

  it('the config of the working folder comes before that of the user', async () => {
    const home = join(folder.path, 'home')
    const work = join(folder.path, 'work')
    mkdirSync(work)
    write('env: of-the-user\n', join(home, '.weir'))
    const first = wrap([], FIXTURE, { cwd: work, env: { HOME: home } })
    await new LineClient(first).tool(1, 'pid')
    expect((await events(first))[0]!.env).toBe('of-the-user')
    rmSync(data, { recursive: true })
    write('env: of-the-folder\nservers: { other: { url: "https://x.example/${NOT_SET_HERE}" } }\n', work)
    const second = wrap([], FIXTURE, { cwd: work, env: { HOME: home } })
    await new LineClient(second).tool(1, 'pid')
    expect((await events(second))[0]!.env).toBe('of-the-folder')
  })
})

describe('used wrongly', () => {
  const oneLine = async (words: readonly string[], cwd = folder.path) => {
    const { code, out, err } = await start(cwd, ['wrap', ...words], {
      input: '',
      env: { HOME: folder.path },
    }).done
    expect(out).toBe('')
    expect(err.trimEnd().split('\n').length).toBe(1)
    return { code, err }
  }

  it.each<[string[], number, RegExp]>([
    [[], 2, /no -- before the server's command; write: weir wrap -- <command>/],
    [['npx', '-y', 'a-server'], 2, /no -- before the server's command; write: weir wrap -- npx/],
    [['--'], 2, /no command after --; write for example: weir wrap -- npx/],
    [['--bogus', '--', 'x'], 2, /Unknown option '--bogus'; write: weir wrap \[--name NAME\]/],
    [['--name', '--', 'x'], 2, /--name.*; write: weir wrap/],
    [['cat', '--', 'x'], 2, /"cat" stands before --/],
    [['--name', 'my server', '--', 'x'], 2, /--name my server is not a server name.*--name my-server/],
    [['--', 'cat'], 1, /no weir\.yaml in .* and none in .*\.weir; name it: weir wrap --config/],
    [
      ['--config', '/nowhere/weir.yaml', '--', 'cat'],
      1,
      /no file \/nowhere\/weir\.yaml; name the weir\.yaml/,
    ],
    [['--data', 'd', '--', '/nowhere/cat'], 127, /command \/nowhere\/cat is not found; check the word/],
    [['--data', 'd', '--', '/etc/passwd'], 126, /command \/etc\/passwd may not be run; make it executable/],
  ])('%j', async (words, code, why) => {
    const { code: seen, err } = await oneLine(words)
    expect(err).toMatch(why)
    expect(err).toMatch(/^weir: /)
    expect(seen).toBe(code)
  })

  it('a config that is wrong, or asks for more than can be kept, starts nothing', async () => {
    const file = join(folder.path, 'weir.yaml')
    const started = join(folder.path, 'started')
    writeFileSync(file, 'listen: nowhere\n')
    const broken = await run(folder.path, 'wrap', '--', 'touch', started)
    expect(broken).toMatchObject({ code: 1, out: '' })
    expect(broken.err).toContain(`${file}:1:9 listen:`)
    writeFileSync(file, 'durability: strict\n')
    const { code, err } = await oneLine(['--', 'touch', started])
    expect(code).toBe(1)
    expect(err).toMatch(/durability: strict.*servers: in weir\.yaml/)
    expect(existsSync(started)).toBe(false)
  })

  it('--help says how to use it', async () => {
    const { code, out } = await run('/', 'wrap', '--help')
    expect(code).toBe(0)
    expect(out).toContain('weir wrap [--name NAME]')
    expect((await run('/', '--help')).out).toMatch(/weir wrap +\S/)
  })
})
