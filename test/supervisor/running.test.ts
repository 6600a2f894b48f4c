/** Which Weir an address leads to, and whose word about that counts. */
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noteFile, RUN_PREFIX, type RunNote } from '../../supervisor/data-folder.ts'
import { leadsTo, runningAt } from '../../supervisor/running.ts'
import { type Folder, makeFolder } from '../support/folder.ts'

describe('an address leads to a listener', () => {
  const TABLE: [url: string, at: string, does: boolean][] = [
    ['http://127.0.0.1:7332/mcp', 'http://127.0.0.1:7332', true],
    ['http://localhost:7332/mcp', 'http://127.0.0.1:7332', true],
    ['http://127.0.0.1:7332/mcp', 'http://localhost:7332', true],
    ['http://localhost:7332/mcp', 'http://[::1]:7332', true],
    ['http://localhost:7332/mcp', 'http://0.0.0.0:7332', true],
    ['http://127.0.0.1:7332/mcp', 'http://0.0.0.0:7332', true],
    ['http://[::1]:7332/mcp', 'http://[::]:7332', true],
    ['http://10.1.2.3:7332/mcp', 'http://10.1.2.3:7332', true],
    ['http://127.0.0.1/mcp', 'http://127.0.0.1:80', true],
    ['http://127.0.0.1:7332/mcp', 'http://127.0.0.1:7333', false],
    ['http://127.0.0.1:7332/mcp', 'http://127.0.0.2:7332', false],
    ['http://127.0.0.1:7332/mcp', 'http://[::1]:7332', false],
    ['http://127.0.0.1:7332/mcp', 'http://10.1.2.3:7332', false],
    ['http://weir.example:7332/mcp', 'http://0.0.0.0:7332', false],
    ['http://10.1.2.3:7332/mcp', 'http://0.0.0.0:7332', false],
    ['https://127.0.0.1:7332/mcp', 'http://127.0.0.1:7332', false],
  ]
  for (const [url, at, does] of TABLE)
    test(`${url} at ${at}: ${does}`, () => expect(leadsTo(new URL(url), new URL(at))).toBe(does))
})

describe('a running Weir', () => {
  const URL_OF = new URL('http://127.0.0.1:7332/mcp')
  let folder: Folder
  const servers: Server[] = []
  const before = process.env.TMPDIR
  beforeEach(() => {
    folder = makeFolder('running')
    process.env.TMPDIR = folder.path
  })
  afterEach(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
    for (const server of servers.splice(0)) server.close()
    folder.remove()
  })

  /** The folder of a Weir's sockets. */
  async function made(
    more: { name?: string; mode?: number; note?: Partial<RunNote> | string } = {},
  ): Promise<string> {
    const at = join(folder.path, more.name ?? `${RUN_PREFIX}abc`)
    mkdirSync(at)
    const listeners = ['http://127.0.0.1:1', 'http://127.0.0.1:7332']
    const note = { pid: process.pid, listen: listeners[0], listeners, console: '', store: '' }
    writeFileSync(
      noteFile(at),
      typeof more.note === 'string' ? more.note : JSON.stringify({ ...note, ...more.note }),
    )
    const server = createServer().listen(join(at, 'local.sock'))
    servers.push(server)
    await once(server, 'listening')
    chmodSync(at, more.mode ?? 0o700)
    return at
  }

  test('is found by each of its listeners', async () => {
    const at = await made()
    expect(await runningAt(URL_OF)).toEqual({ socket: join(at, 'local.sock'), listener: 1 })
    expect((await runningAt(new URL('http://127.0.0.1:1/')))?.listener).toBe(0)
    expect(await runningAt(new URL('http://127.0.0.1:2/'))).toBeNull()
  })
  test('is found among what is broken', async () => {
    mkdirSync(join(folder.path, `${RUN_PREFIX}0`))
    writeFileSync(join(folder.path, `${RUN_PREFIX}1`), '')
    await made({ name: `${RUN_PREFIX}2`, note: '{' })
    await made({ name: `${RUN_PREFIX}3`, note: { listeners: ['nowhere'] } })
    await made({ name: `${RUN_PREFIX}4` })
    expect((await runningAt(URL_OF))?.listener).toBe(1)
  })
  test.each([
    ['others may enter its folder', { mode: 0o755 }],
    ['others may write to its folder', { mode: 0o720 }],
    ['its process is gone', { note: { pid: 2 ** 22 + 1 } }],
    ['it is called otherwise', { name: 'something' }],
  ])('counts for nothing when %s', async (_why, more) => {
    await made(more)
    expect(await runningAt(URL_OF)).toBeNull()
  })
  test('counts for nothing when it was killed and its process id is another’s', async () => {
    await made()
    servers.pop()!.close()
    expect(await runningAt(URL_OF)).toBeNull()
  })
  test('no folder at all is none', async () => {
    process.env.TMPDIR = join(folder.path, 'gone')
    expect(await runningAt(URL_OF)).toBeNull()
  })
})
