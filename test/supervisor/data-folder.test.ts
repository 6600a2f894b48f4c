import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  FolderBusy,
  loadSecrets,
  lockFolder,
  readNote,
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

test('a folder is one installation’s until it lets go', () => {
  lockFolder(data)
  expect(() => lockFolder(data)).toThrow(FolderBusy)
  unlockFolder(data)
  lockFolder(data)
})

test.each([
  ['nothing, after a crash or on a full disk', ''],
  ['no number', 'x y'],
  ['a process that is gone', '4194303 1'],
  ['the pid of a living process that began at another time', `${process.pid} 1`],
  ['zero', '0 '],
  ['a negative number', '-1 '],
])('a lock that names %s is taken over', (_name, text) => {
  mkdirSync(data, { recursive: true })
  writeFileSync(lock(), text)
  lockFolder(data)
  expect(readFileSync(lock(), 'utf8').split(' ')[0]).toBe(String(process.pid))
})

test('of many that start at once, exactly one gets the folder', async () => {
  mkdirSync(data, { recursive: true })
  writeFileSync(lock(), '4194303 1')
  const module = fileURLToPath(new URL('../../supervisor/data-folder.ts', import.meta.url))
  const program = `import { lockFolder } from ${JSON.stringify(module)}
try { lockFolder(${JSON.stringify(data)}); process.stdout.write('mine\\n') } catch { process.stdout.write('busy\\n') }
process.stdin.resume().on('end', () => process.exit())`
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  const answers = await Promise.all(
    children.map(async (child) => String(((await once(child.stdout, 'data')) as [Buffer])[0]).trim()),
  )
  for (const child of children) child.stdin.end()
  await Promise.all(children.map((child) => once(child, 'exit')))
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

test('unreadable secrets stop the start instead of being made anew', () => {
  lockFolder(data)
  writeFileSync(join(data, 'secrets.json'), '{"session":')
  expect(() => loadSecrets(data)).toThrow(/secrets\.json cannot be read/)
})

test('the note tells where a living installation listens, and nothing of a dead one', () => {
  lockFolder(data)
  const note = { pid: process.pid, listen: 'http://a', console: 'http://b', store: 'http://c' }
  writeNote(data, note)
  expect(readNote(data)).toEqual(note)
  const gone = Number(execFileSync('sh', ['-c', 'echo $$']).toString())
  writeNote(data, { ...note, pid: gone })
  expect(readNote(data)).toBeNull()
  unlockFolder(data)
  expect(readNote(data)).toBeNull()
})
