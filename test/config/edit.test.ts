/** config/edit.ts on real files: whole or nothing, one at a time from several processes, and who made it. */
import { spawn } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { editConfig } from '../../config/edit.ts'
import { chainOf, readNotes } from '../../config/edit-notes.ts'
import { createKey, removeCaller, revokeKey, rotateKey } from '../../config/key-edits.ts'
import { kindOfKey, makeKey, sha256Hex } from '../../config/key-text.ts'
import { ConfigError, loadConfig } from '../../config/load.ts'
import { type Folder, makeFolder } from '../support/folder.ts'

const BY = { who: 'ada@desk', via: 'command' } as const
let folder: Folder
let file: string
beforeEach(() => {
  folder = makeFolder('edit')
  file = join(folder.path, 'weir.yaml')
  writeFileSync(file, '# ours\nlisten: 127.0.0.1:7332\nteams: { a: {} }\n', { mode: 0o640 })
})
afterEach(() => folder.remove())
const create = (caller: string, at = file) =>
  editConfig(at, (config) => createKey(config, caller, makeKey(), {}, {}, Date.now()), BY)

test('an edit is checked whole before it is written: what would not load is not written', () => {
  const before = readFileSync(file, 'utf8')
  const bad = () =>
    editConfig(file, () => [{ op: 'set', path: ['teams', 'a', 'budget_usd_per_month'], value: -1 }], BY)
  expect(bad).toThrow(ConfigError)
  expect(() => editConfig(file, () => [{ op: 'set', path: ['no_such_section'], value: 1 }], BY)).toThrow(
    /no_such_section/,
  )
  expect(readFileSync(file, 'utf8')).toBe(before)
  expect(readNotes(join(folder.path, 'weir-data'))).toEqual([])
})

test('a broken file is not edited', () => {
  writeFileSync(file, 'listen: [\n')
  expect(() => create('a')).toThrow(ConfigError)
})

test('mode and place stay; nothing is left beside the file; a link stays a link', () => {
  create('a')
  expect(statSync(file).mode & 0o777).toBe(0o640)
  const link = join(folder.path, 'link.yaml')
  symlinkSync('weir.yaml', link)
  create('b', link)
  expect(Object.keys(loadConfig(file).config.callers)).toEqual(['a', 'b'])
  expect(readdirSync(folder.path).sort()).toEqual(['link.yaml', 'weir-data', 'weir.yaml'])
})

test('a file that is marked read-only is refused, whoever asks', () => {
  chmodSync(file, 0o444)
  expect(() => create('a')).toThrow(/marked read-only/)
})

test('who read an older text is refused', () => {
  const expected = sha256Hex(readFileSync(file, 'utf8'))
  create('a')
  const late = () =>
    editConfig(file, () => [{ op: 'set', path: ['teams', 'b'], value: {} }], { ...BY, expected })
  expect(late).toThrow(/has changed since/)
})

test('edits of many processes at once are all there afterwards, in a file that loads', async () => {
  const program = fileURLToPath(new URL('../../weir.ts', import.meta.url))
  const names = Array.from({ length: 5 }, (_, i) => `caller-${i}`)
  const codes = await Promise.all(
    names.map(
      (name) =>
        new Promise((resolve) =>
          spawn(process.execPath, [program, 'key', 'create', name, '--config', file], { stdio: 'ignore' }).on(
            'close',
            resolve,
          ),
        ),
    ),
  )
  expect(codes).toEqual(names.map(() => 0))
  expect(Object.keys(loadConfig(file).config.callers).sort()).toEqual(names)
  expect(readFileSync(file, 'utf8')).toContain('# ours')
})

test('the notes lead from one text to another, and no further than they are unbroken', () => {
  const first = sha256Hex(readFileSync(file, 'utf8'))
  const { sha256: second } = create('a')
  const { sha256: third } = create('b')
  const notes = readNotes(join(folder.path, 'weir-data'))
  expect(chainOf(notes, first, third).map(({ paths }) => paths)).toEqual([
    [['callers', 'b']],
    [['callers', 'a']],
  ])
  expect(chainOf(notes, second, third)).toHaveLength(1)
  writeFileSync(file, `${readFileSync(file, 'utf8')}# by hand\n`)
  expect(chainOf(notes, first, sha256Hex(readFileSync(file, 'utf8')))).toEqual([])
  expect(JSON.stringify(notes)).not.toContain(loadConfig(file).config.callers.a!.keys[0]!.sha256)
})

test('a key has 256 random bits, a prefix and a checksum that finds every single wrong character', () => {
  const { text, sha256 } = makeKey()
  expect(text).toMatch(/^weir_[0-9A-Za-z]{49}$/)
  expect(sha256).toBe(sha256Hex(text))
  for (let i = 0; i < text.length; i++)
    expect(
      kindOfKey(`${text.slice(0, i)}${text[i] === 'x' ? 'y' : 'x'}${text.slice(i + 1)}`),
      `at ${i}`,
    ).toBeNull()
  expect([kindOfKey(text), kindOfKey(makeKey('admin').text), kindOfKey(` ${text}`)]).toEqual([
    'caller',
    'admin',
    null,
  ])
  expect(new Set(Array.from({ length: 1000 }, () => makeKey().text)).size).toBe(1000)
})

test('a rotation never makes the old key live longer than it would have', () => {
  const now_ms = Date.parse('2026-11-21T12:00:00Z')
  editConfig(
    file,
    (config) => createKey(config, 'a', makeKey(), { id: 'old', expires: '2026-11-21T13:00:00Z' }, {}, now_ms),
    BY,
  )
  editConfig(
    file,
    (config) => rotateKey(config, 'a', 'old', makeKey(), { id: 'new' }, 86_400_000, now_ms),
    BY,
  )
  const keys = loadConfig(file).config.callers.a!.keys
  expect(keys).toMatchObject([{ id: 'old', expires: '2026-11-21T13:00:00Z' }, { id: 'new' }])
  expect(keys[1]!.expires).toBeUndefined()
  const late = () =>
    editConfig(file, (c) => rotateKey(c, 'a', 'old', makeKey(), {}, 1000, now_ms + 7_200_000), BY)
  expect(late).toThrow(/has expired/)
})

test('keys and callers that are not there, or the last of them, are refused in words', () => {
  create('a')
  const { config } = loadConfig(file)
  expect(() => revokeKey(config, 'b', null)).toThrow('there is no caller b')
  expect(() => revokeKey(config, 'a', 'nope')).toThrow('a has no key nope')
  expect(() => removeCaller(config, 'a')).toThrow('last caller')
  for (const name of ['__proto__', 'constructor', 'a#b', 'a/b', ' a', 'a\nb', ''])
    expect(() => createKey(config, name, makeKey(), {}, {}, 0), JSON.stringify(name)).toThrow(
      /a caller has a name/,
    )
})
