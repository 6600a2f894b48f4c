import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Folder, makeFolder, mountSmallDisk } from '../../support/folder.ts'
import { waitFor } from '../../support/wait.ts'

/** What the writer asked of the file system, and how it is made to fail. */
const fs = vi.hoisted(() => ({
  log: [] as string[],
  syncs: [] as (() => void)[],
  isHolding: false,
  shortBy: 0,
  syncError: null as Error | null,
}))
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>()
  return {
    ...real,
    writeSync(fd: number, data: Buffer, ...rest: unknown[]) {
      // Events come as bytes, ledgers as text.
      if (Buffer.isBuffer(data) && fs.shortBy > 0) {
        const length = (rest[1] as number) - fs.shortBy
        fs.shortBy = 0
        return real.writeSync(fd, data, 0, length)
      }
      return (real.writeSync as (...args: unknown[]) => number)(fd, data, ...rest)
    },
    fdatasync(fd: number, done: (error: Error | null) => void) {
      fs.log.push('sync starts')
      const go = (): void =>
        fs.syncError
          ? done(fs.syncError)
          : real.fdatasync(fd, (error) => {
              fs.log.push('sync ends')
              done(error)
            })
      if (fs.isHolding) fs.syncs.push(go)
      else go()
    },
    fdatasyncSync(fd: number) {
      fs.log.push('sync')
      if (fs.syncError) throw fs.syncError
      real.fdatasyncSync(fd)
    },
    closeSync(fd: number) {
      real.closeSync(fd)
    },
  }
})
const { noLosses, SpoolWriter, readLosses } = await import('../../../proxy/spool/writer.ts')

const ID = '0123456789abcdef'
let folder: Folder
let path: string
beforeEach(() => {
  folder = makeFolder('writer')
  path = join(folder.path, 'spool')
  Object.assign(fs, { log: [], syncs: [], isHolding: false, shortBy: 0, syncError: null })
})
afterEach(() => folder.remove())

const make = (
  more: Partial<ConstructorParameters<typeof SpoolWriter>[0]> = {},
  onSealed = () => {},
): InstanceType<typeof SpoolWriter> =>
  new SpoolWriter(
    { folder: path, worker_id: ID, segment_bytes: 1_000_000, segment_age_ms: 3_600_000, ...more },
    onSealed,
  )
const files = (): string[] =>
  readdirSync(path)
    .filter((f) => !f.endsWith('.lost'))
    .sort()
const text = (file: string): string => readFileSync(join(path, file), 'utf8')
const losses = (): object => readLosses(join(path, `${ID}.lost`))!

describe('segments', () => {
  test('a line is in the file when append returns', () => {
    const writer = make()
    expect(writer.append('{"a":1}')).toBe(true)
    expect(text(`${ID}-00000000.open`)).toBe('{"a":1}\n')
    writer.close()
    expect(files()).toEqual([`${ID}-00000000.ndjson`])
  })

  test('a segment is sealed at its size, told, and the next has the next number', () => {
    let told = 0
    const writer = make({ segment_bytes: 20 }, () => told++)
    for (let i = 0; i < 5; i++) writer.append('{"n":123}')
    expect(files()).toEqual([`${ID}-00000000.ndjson`, `${ID}-00000001.ndjson`, `${ID}-00000002.open`])
    expect(told).toBe(2)
    writer.close()
  })

  test('a segment is sealed at its age', async () => {
    const writer = make({ segment_age_ms: 10 })
    writer.append('{}')
    await waitFor('it is sealed', () => files().includes(`${ID}-00000000.ndjson`))
    writer.close()
  })

  test('closing without events leaves no segment', () => {
    make().close()
    expect(files()).toEqual([])
  })

  test('several bytes a character: sizes are bytes', () => {
    const writer = make()
    const line = '✓'.repeat(100)
    writer.append(line)
    writer.append(line)
    writer.close()
    expect(text(`${ID}-00000000.ndjson`)).toBe(`${line}\n${line}\n`)
  })
})

describe('lines of one turn', () => {
  const told: string[] = []
  const then = (name: string) => ({ written: () => void told.push(name) })
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  beforeEach(() => {
    told.length = 0
  })

  test('the first is written at once, the others together, and each is told only then', async () => {
    const writer = make()
    const file = `${ID}-00000000.open`
    writer.appendThen('{"n":1}', then('1'))
    expect([told, text(file)]).toEqual([['1'], '{"n":1}\n'])
    writer.appendThen('{"n":2}', then('2'))
    writer.appendThen('{"n":3}', then('3'))
    expect([told, text(file)]).toEqual([['1'], '{"n":1}\n'])
    await turn()
    expect([told, text(file)]).toEqual([['1', '2', '3'], '{"n":1}\n{"n":2}\n{"n":3}\n'])
    writer.appendThen('{"n":4}', then('4'))
    expect(told.at(-1)).toBe('4')
    expect(writer.written).toBe(4)
    writer.close()
  })

  test('a line that cannot wait takes those before it along, and order stays', () => {
    const writer = make()
    writer.appendThen('{"n":1}', then('1'))
    writer.appendThen('{"n":2}', then('2'))
    expect(writer.append('{"n":3}')).toBe(true)
    expect(told).toEqual(['1', '2'])
    expect(text(`${ID}-00000000.open`)).toBe('{"n":1}\n{"n":2}\n{"n":3}\n')
    writer.close()
  })

  test('closing and sealing write what waits', () => {
    const writer = make()
    writer.appendThen('{"n":1}', then('1'))
    writer.appendThen('{"n":2}', then('2'))
    writer.close()
    expect(told).toEqual(['1', '2'])
    expect(text(`${ID}-00000000.ndjson`)).toBe('{"n":1}\n{"n":2}\n')
  })

  test('a short write keeps the whole lines, counts the others, and tells all', async () => {
    const writer = make()
    writer.appendThen('{"n":1}', then('1'))
    for (const n of ['2', '3', '4']) writer.appendThen(`{"n":${n}}`, then(n))
    fs.shortBy = 11
    await turn()
    expect(told).toEqual(['1', '2', '3', '4'])
    expect(losses()).toEqual({ ...noLosses(), disk_full: 2 })
    expect(writer.append('{"n":5}')).toBe(true)
    writer.close()
    expect(text(`${ID}-00000000.ndjson`)).toBe('{"n":1}\n{"n":2}\n{"n":5}\n')
  })

  test('more than the buffer holds, and one line larger than it', async () => {
    const writer = make({ segment_bytes: 100_000_000 })
    const large = 'x'.repeat(400_000)
    writer.appendThen('{}', then('0'))
    for (let i = 0; i < 10; i++) writer.appendThen(i === 5 ? large : 'y'.repeat(50_000), then(String(i)))
    await turn()
    expect(told.length).toBe(11)
    writer.close()
    const lines = text(`${ID}-00000000.ndjson`).trimEnd().split('\n')
    expect(lines.map((line) => line.length)).toEqual([
      2,
      ...Array(5).fill(50_000),
      400_000,
      ...Array(4).fill(50_000),
    ])
  })

  test('a full spool tells at once', () => {
    const writer = make()
    writer.isFull = true
    writer.appendThen('{}', then('1'))
    expect(told).toEqual(['1'])
    expect(losses()).toEqual({ ...noLosses(), spool_full: 1 })
    writer.close()
  })
})

describe('what cannot be written', () => {
  test('a short write is taken back, counted, and the neighbours are whole', () => {
    const writer = make()
    writer.append('{"a":1}')
    fs.shortBy = 3
    expect(writer.append('{"b":2}')).toBe(false)
    expect(writer.append('{"c":3}')).toBe(true)
    expect(losses()).toEqual({ ...noLosses(), spool_full: 0, disk_full: 1, write_error: 0 })
    writer.close()
    expect(text(`${ID}-00000000.ndjson`)).toBe('{"a":1}\n{"c":3}\n')
  })

  test('a full spool gives up new events and counts each', () => {
    const writer = make()
    writer.isFull = true
    for (let i = 0; i < 3; i++) expect(writer.append('{}')).toBe(false)
    writer.isFull = false
    expect(writer.append('{}')).toBe(true)
    expect(losses()).toEqual({ ...noLosses(), spool_full: 3, disk_full: 0, write_error: 0 })
    expect(writer.written).toBe(1)
    writer.close()
  })

  test('a full disk: written and lost make up all, nothing is torn, and it goes on when there is room', () => {
    const disk = mountSmallDisk(path, 65_536)
    if (!disk) return
    try {
      const writer = make()
      const line = JSON.stringify({ pad: 'x'.repeat(700) })
      let taken = 0
      for (let i = 0; i < 300; i++) if (writer.append(line)) taken++
      expect(taken).toBeGreaterThan(0)
      expect(taken).toBeLessThan(150)
      expect(losses()).toEqual({ ...noLosses(), spool_full: 0, disk_full: 300 - taken, write_error: 0 })
      const whole = text(`${ID}-00000000.open`)
      expect(whole).toBe(`${line}\n`.repeat(taken))
      writer.seal()
      // The shipper took it: there is room again.
      writeFileSync(join(path, `${ID}-00000000.ndjson`), '')
      expect(writer.append(line)).toBe(true)
      expect(writer.written).toBe(taken + 1)
      writer.close()
    } finally {
      disk.unmount()
    }
  })
})

describe('records that must be on the disk', () => {
  test('resolve only after the sync of their bytes, and those of one moment share it', async () => {
    fs.isHolding = true
    const writer = make()
    const done: number[] = []
    const first = writer.appendSynced('{"intent":1}').then(() => done.push(1))
    const others = [2, 3, 4].map((n) => writer.appendSynced(`{"intent":${n}}`).then(() => done.push(n)))
    await Promise.resolve()
    expect(done).toEqual([])
    expect(fs.log).toEqual(['sync starts'])
    fs.syncs.shift()!()
    await first
    // The others came after that sync began: it may not have covered them.
    expect(done).toEqual([1])
    await waitFor('the second sync has begun', () => fs.syncs.length === 1)
    fs.syncs.shift()!()
    await Promise.all(others)
    expect(fs.log.filter((l) => l === 'sync starts').length).toBe(2)
    writer.close()
  })

  test('a record whose segment is sealed under it is synced before it resolves', async () => {
    const writer = make({ segment_bytes: 10 })
    await writer.appendSynced('{"intent":1,"long":true}')
    expect(fs.log).toContain('sync')
    expect(files()).toEqual([`${ID}-00000000.ndjson`])
    writer.close()
  })

  test('sealing while a sync is under way serves those who wait, and harms nobody after', async () => {
    fs.isHolding = true
    const writer = make()
    const waiting = writer.appendSynced('{"intent":1}')
    writer.append('{"a":1}')
    writer.seal()
    await waiting
    const next = writer.appendSynced('{"intent":2}')
    fs.isHolding = false
    for (const go of fs.syncs.splice(0)) go()
    await next
    writer.close()
    expect(files()).toEqual([`${ID}-00000000.ndjson`, `${ID}-00000001.ndjson`])
  })

  test('reject when the sync fails, at once and under a seal', async () => {
    fs.syncError = new Error('EIO')
    const writer = make()
    await expect(writer.appendSynced('{"intent":1}')).rejects.toThrow('EIO')
    const small = make({ worker_id: 'fedcba9876543210', segment_bytes: 5 })
    await expect(small.appendSynced('{"intent":1}')).rejects.toThrow('EIO')
  })

  test('reject when the spool takes nothing, and an intent is no lost event', async () => {
    const writer = make()
    writer.isFull = true
    await expect(writer.appendSynced('{"intent":1}')).rejects.toThrow(/did not take/)
    expect(losses()).toEqual({ ...noLosses(), spool_full: 0, disk_full: 0, write_error: 0 })
    writer.isFull = false
    await writer.appendSynced('{"intent":1}')
    expect(writer.written).toBe(0)
    writer.append('{}')
    expect(writer.written).toBe(1)
    writer.close()
  })

  test('plain events ask for no sync', () => {
    const writer = make({ segment_bytes: 10 })
    for (let i = 0; i < 10; i++) writer.append('{"a":12345}')
    writer.close()
    expect(fs.log).toEqual([])
  })
})

test('the ledger has its place from the start, and a torn or foreign one is no ledger', () => {
  const writer = make()
  expect(statSync(join(path, `${ID}.lost`)).size).toBeGreaterThan(40)
  expect(losses()).toEqual({ ...noLosses(), spool_full: 0, disk_full: 0, write_error: 0 })
  writer.losses.add('disk_full', 12)
  writer.losses.add('disk_full', 3)
  expect(losses()).toEqual({ ...noLosses(), spool_full: 0, disk_full: 15, write_error: 0 })
  for (const bad of ['', '1\n2', 'a\nb\nc', '1\n2\n3\n4\n5\n6\n7', '1.5\n0\n0\n0']) {
    writeFileSync(join(path, 'other.lost'), bad)
    expect(readLosses(join(path, 'other.lost')), bad).toBeNull()
  }
  writer.close()
})
