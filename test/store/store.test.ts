/**
 * The life of a store process: start, second process, crash, freeze, drain.
 */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { ask, freshDirectory, reader, type StoreChild, startStore, writer } from './support/child.ts'

const started: StoreChild[] = []
const start = async (...args: Parameters<typeof startStore>): Promise<StoreChild> => {
  const store = await startStore(...args)
  started.push(store)
  return store
}

afterEach(async () => {
  for (const store of started.splice(0)) await store.remove()
})

const isGone = (url: string) =>
  fetch(`${url}/ping`).then(
    () => false,
    () => true,
  )

describe('start', () => {
  it('makes the directory and the database, and takes a free port', async () => {
    const store = await start({ data_path: join(freshDirectory(), 'deep', 'down') })
    expect(store.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect((await ask(store, reader, 'SELECT currentDatabase()')).text).toBe('weir\n')
  })

  it('pins what must not depend on the machine', async () => {
    const store = await start({ memory_max_bytes: 700_000_000 })
    const values = await ask(
      store,
      writer,
      "SELECT getSetting('async_insert'), timezone(), getServerSetting('max_server_memory_usage'), getServerSetting('mark_cache_size')",
    )
    expect(values.text).toBe('false\tUTC\t700000000\t67108864\n')
  })

  it('does not read a config.xml of the working directory', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-cwd-'))
    writeFileSync(
      join(directory, 'config.xml'),
      '<clickhouse><mark_cache_size>12345</mark_cache_size></clickhouse>',
    )
    mkdirSync(join(directory, '.clickhouse-local'))
    const store = await start({}, directory)
    expect((await ask(store, writer, "SELECT getServerSetting('mark_cache_size')")).text).toBe('67108864\n')
    rmSync(directory, { recursive: true })
  })

  it('tells who holds the directory', async () => {
    const first = await start()
    await expect(startStore({ data_path: first.data_path })).rejects.toThrow(
      new RegExp(
        `cannot open .*: process ${first.process.pid} already has it open; stop that process or set another`,
      ),
    )
    expect((await ask(first, reader, 'SELECT 1')).text).toBe('1\n')
  })

  it('tells who holds the port', async () => {
    const first = await start()
    const port = Number(new URL(first.url).port)
    await expect(startStore({ listen: { host: '127.0.0.1', port } })).rejects.toThrow(
      /port \d+ is taken; stop what uses it/,
    )
  })

  it.each([
    [{ database: 'default' }, /"default".*file system/],
    [{ statements_max: 40 }, /between 2 and 12/],
    [{ writer: { user: 'w', password: '' } }, /password that is not empty/],
    [{ reader: { ...writer, password: 'x' } }, /rename one/],
  ])('refuses options that cannot work: %j', async (changes, words) => {
    await expect(startStore(changes)).rejects.toThrow(words)
  })
})

describe('reload', () => {
  it('takes new credentials and limits without a restart', async () => {
    const store = await start()
    const next = { user: 'metabase', password: 'another' }
    expect(await store.reload({ reader: next, readers_max_seconds: 7 })).toBe(undefined)
    expect((await ask(store, next, "SELECT getSetting('max_execution_time')")).text).toBe('7\n')
    expect((await ask(store, reader, 'SELECT 1')).status).toBe(403)
  })

  it('keeps everything when the change needs a restart', async () => {
    const store = await start()
    expect(await store.reload({ memory_max_bytes: 1, reader: null })).toMatch(
      /restart the store to change memory_max_bytes/,
    )
    expect((await ask(store, reader, 'SELECT 1')).text).toBe('1\n')
    expect((await ask(store, null, 'SELECT 1')).status).toBe(401)
  })
})

describe('memory', () => {
  it('is capped for the whole engine, and small inserts go on beside a starving query', async () => {
    const store = await start({ memory_max_bytes: 400_000_000 })
    await ask(store, writer, 'CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id')
    const starving = ask(store, writer, 'SELECT length(groupArray(number)) FROM numbers(200000000)')
    for (let i = 0; i < 10; i++)
      expect((await ask(store, writer, `${i}\n`, { query: 'INSERT INTO t FORMAT TSV' })).text).toBe('')
    expect((await starving).text).toMatch(/Code: 241\./)
  }, 30_000)
})

describe('kill -9 during inserts', () => {
  it('loses nothing acknowledged and doubles nothing sent again under its token', async () => {
    const data_path = freshDirectory()
    let store = await start({ data_path })
    await ask(
      store,
      writer,
      'CREATE TABLE t (ts DateTime, batch UInt32, n UInt32) ENGINE = MergeTree PARTITION BY toDate(ts) ORDER BY (batch, n) SETTINGS non_replicated_deduplication_window = 1000',
    )
    // Each batch spans two partitions: it is atomic in each, not in both.
    const body = (batch: number) =>
      Array.from({ length: 200 }, (_, n) =>
        JSON.stringify([1_700_000_000 + (n % 2) * 86_400, batch, n]),
      ).join('\n')
    const send = (batch: number) =>
      ask(store, writer, body(batch), {
        query: 'INSERT INTO t FORMAT JSONCompactEachRow',
        insert_deduplication_token: `batch-${batch}`,
      }).then(
        ({ status }) => status === 200,
        () => false,
      )
    let next = 0
    const unacknowledged: number[] = []
    for (let round = 0; round < 4; round++) {
      const killAt = next + 3 + round * 2
      while (next < killAt + 40) {
        const batch = next++
        if (batch === killAt) setTimeout(() => store.process.kill('SIGKILL'), round * 3)
        if (!(await send(batch))) {
          unacknowledged.push(batch)
          break
        }
      }
      await store.kill()
      store = await start({ data_path })
      for (const batch of unacknowledged) expect(await send(batch)).toBe(true)
    }
    expect(unacknowledged.length).toBeGreaterThan(0)
    const counts = await ask(store, writer, 'SELECT count(), uniqExact(batch), uniqExact((batch, n)) FROM t')
    expect(counts.text).toBe(`${next * 200}\t${next}\t${next * 200}\n`)
  }, 60_000)
})

describe('a sick process', () => {
  it('dies at once of a fatal signal', async () => {
    const store = await start()
    store.process.kill('SIGSEGV')
    const [, signal] = await once(store.process, 'exit')
    expect(signal).toBe('SIGSEGV')
  }, 20_000)

  it('misses beats while it is frozen, and beats again after', async () => {
    const store = await start()
    expect(await store.beats(5000)).toBe(true)
    store.process.kill('SIGSTOP')
    expect(await store.beats(500)).toBe(false)
    store.process.kill('SIGCONT')
    expect(await store.beats(5000)).toBe(true)
  })
})

describe('drain', () => {
  it('waits for what runs and refuses what comes', async () => {
    const store = await start()
    const running = ask(
      store,
      reader,
      'SELECT sum(sleepEachRow(0.3)) FROM numbers(5) SETTINGS max_block_size = 1',
    )
    while (((await store.ask('metrics')) as { running: number }).running === 0);
    const ended = store.drain()
    expect((await running).text).toBe('0\n')
    expect(await ended).toBe(0)
    expect(await isGone(store.url)).toBe(true)
  }, 20_000)

  it('kills what runs longer than its bound', async () => {
    const store = await start({ drain_max_ms: 300 })
    const running = ask(
      store,
      writer,
      'SELECT count() FROM system.numbers WHERE NOT ignore(sipHash64(number))',
    )
    while (((await store.ask('metrics')) as { running: number }).running === 0);
    expect(await store.drain()).toBe(0)
    expect((await running).headers.get('x-clickhouse-exception-code')).toBe('394')
  }, 20_000)

  it('keeps every row', async () => {
    const data_path = freshDirectory()
    const store = await start({ data_path })
    await ask(store, writer, 'CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id')
    await ask(store, writer, 'INSERT INTO t SELECT number FROM numbers(1000)')
    expect(await store.drain()).toBe(0)
    const again = await start({ data_path })
    expect((await ask(again, reader, 'SELECT count() FROM t')).text).toBe('1000\n')
  }, 20_000)
})
