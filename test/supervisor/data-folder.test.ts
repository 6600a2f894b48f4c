import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  FolderBusy,
  loadSecrets,
  lockFolder,
  makeRunFolder,
  readNote,
  removeRunFolder,
  unlockFolder,
  writeNote,
} from '../../supervisor/data-folder.ts'
import { type Folder, makeFolder } from '../support/folder.ts'

let folder: Folder
let data: string
beforeEach(() => {
  folder = makeFolder('data')
  data = join(folder.path, 'data')
})
afterEach(() => folder.remove())
const lock = (): string => join(data, 'weir.lock')
const MODULE = fileURLToPath(new URL('../../supervisor/data-folder.ts', import.meta.url))

/** Processes that try to lock the folder, say whether they have, and hold it until their input ends. */
function hold(count: number): { child: ChildProcess; answer: Promise<string> }[] {
  const program = `import { lockFolder } from ${JSON.stringify(MODULE)}
try { lockFolder(${JSON.stringify(data)}); process.stdout.write('mine\\n') } catch { process.stdout.write('busy\\n') }
process.stdin.resume().on('end', () => process.exit())`
  return Array.from({ length: count }, () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const answer = once(child.stdout!, 'data').then((data) => String((data as [Buffer])[0]).trim())
    return { child, answer }
  })
}

test('a folder is one installation’s until it lets go', () => {
  lockFolder(data)
  expect(() => lockFolder(data)).toThrow(FolderBusy)
  unlockFolder(data)
  lockFolder(data)
})

test('a lock left empty, or by a process that was killed, is nobody’s', async () => {
  mkdirSync(data, { recursive: true })
  writeFileSync(lock(), '')
  const [killed] = hold(1)
  expect(await killed!.answer).toBe('mine')
  expect(() => lockFolder(data)).toThrow(FolderBusy)
  killed!.child.kill('SIGKILL')
  await once(killed!.child, 'exit')
  lockFolder(data)
})

test('a lock file that is none is not taken, and the fix is named', () => {
  mkdirSync(data, { recursive: true })
  writeFileSync(lock(), 'x'.repeat(200))
  expect(() => lockFolder(data)).toThrow(/weir\.lock cannot be locked \(.+\); delete it/)
})

test('of many that start at once, exactly one gets the folder', async () => {
  mkdirSync(data, { recursive: true })
  const all = hold(8)
  const answers = await Promise.all(all.map(({ answer }) => answer))
  for (const { child } of all) child.stdin!.end()
  await Promise.all(all.map(({ child }) => once(child, 'exit')))
  expect(answers.filter((a) => a === 'mine').length).toBe(1)
})

test('secrets are made once, differ, and are for the owner’s eyes only', () => {
  lockFolder(data)
  const secrets = loadSecrets(data)
  expect(loadSecrets(data)).toEqual(secrets)
  expect(new Set(Object.values(secrets)).size).toBe(4)
  for (const secret of Object.values(secrets)) expect(secret).toMatch(/^[0-9a-f]{64}$/)
  expect(statSync(join(data, 'secrets.json')).mode & 0o077).toBe(0)
  expect(statSync(join(data, 'spool')).mode & 0o077).toBe(0)
  expect(readdirSync(data).filter((f) => f.startsWith('secrets.json'))).toEqual(['secrets.json'])
})

test('of many that make the secrets at once, all have the same', async () => {
  mkdirSync(data, { recursive: true })
  const program = `import { loadSecrets } from ${JSON.stringify(MODULE)}
process.stdout.write('ready\\n')
process.stdin.once('data', () => process.stdout.write(loadSecrets(${JSON.stringify(data)}).hash, () => process.exit()))`
  const all = Array.from({ length: 8 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  await Promise.all(all.map((child) => once(child.stdout, 'data')))
  const said = all.map((child) => once(child.stdout, 'data').then(([text]) => String(text)))
  for (const child of all) child.stdin.write('go')
  const hashes = new Set(await Promise.all(said))
  expect(hashes).toEqual(new Set([loadSecrets(data).hash]))
  expect(readdirSync(data)).toEqual(['secrets.json'])
})

test('unreadable secrets stop the start instead of being made anew', () => {
  lockFolder(data)
  writeFileSync(join(data, 'secrets.json'), '{"session":')
  expect(() => loadSecrets(data)).toThrow(/secrets\.json cannot be read/)
})

test('the note tells where a living installation listens, and nothing of a dead one', () => {
  lockFolder(data)
  const note = {
    pid: process.pid,
    listen: 'http://a',
    listeners: ['http://a'],
    console: 'http://b',
    store: 'http://c',
    admin: '',
    config: { sha256: 'd', refused: '', refused_sha256: '' },
  }
  writeNote(data, note)
  expect(readNote(data)).toEqual(note)
  const gone = Number(execFileSync('sh', ['-c', 'echo $$']).toString())
  writeNote(data, { ...note, pid: gone })
  expect(readNote(data)).toBeNull()
  unlockFolder(data)
  expect(readNote(data)).toBeNull()
})

test('the run folder of a killed run goes with the next start, and nothing else ever does', () => {
  lockFolder(data)
  const first = makeRunFolder(data)
  writeFileSync(join(first, 'host.sock'), '')
  const second = makeRunFolder(data)
  expect(existsSync(first)).toBe(false)
  expect(existsSync(second)).toBe(true)
  removeRunFolder(data)
  expect(existsSync(second)).toBe(false)
  symlinkSync(folder.path, join(data, 'run'))
  removeRunFolder(data)
  expect(existsSync(folder.path)).toBe(true)
})
