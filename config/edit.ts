/**
 * The one place that writes weir.yaml. An edit is whole or nothing: one at a time (a lock that ends with its process), checked as a
 * whole before it is written, put in the place of the old text in one step. Knows neither commands nor HTTP.
 * Invariant: what is written loads, and differs from what was there in nothing but what was asked for.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { changedPaths } from './changes.ts'
import { addNote, type EditNote } from './edit-notes.ts'
import { sha256Hex } from './key-text.ts'
import { configOf, type Env } from './load.ts'
import type { Config } from './schema.ts'
import { type Edit, EditRefused, splice } from './splice.ts'
import { readYaml, type YamlText } from './yaml-text.ts'

const LOCK_WAIT_MS = 5_000

export type EditOptions = {
  readonly who: string
  readonly via: EditNote['via']
  /** Everything but the writing. */
  readonly dry_run?: boolean
  /** SHA-256 of the text that the asker knows; another one there is a conflict. */
  readonly expected?: string | undefined
  readonly env?: Env
  /** Looks at the edit before it is written; what it throws is what becomes of it. */
  readonly check?: (edited: Edited) => void
}

export type Edited = {
  readonly config: Config
  readonly before: Config
  /** SHA-256 of the text as it is now, or would be after a dry run. */
  readonly sha256: string
  /** Paths of the settings that differ. */
  readonly changed: readonly string[]
}

/**
 * Edits a config file. `make` is given the config as it is under the lock, and says what to change. Throws EditRefused when the
 * file cannot be written or edited, ConfigError when it is broken already or would be after the edit.
 */
export function editConfig(
  file: string,
  make: (config: Config) => readonly Edit[],
  options: EditOptions,
): Edited {
  const seen = seenIn(readFileSync(file, 'utf8'), file, options.env)
  return options.dry_run
    ? edit(file, seen, make, options)
    : withLock(seen.config.data, () => edit(file, seen, make, options))
}

type Seen = { readonly yaml: YamlText; readonly config: Config; readonly values: unknown }

const seenIn = (text: string, file: string, env: Env | undefined): Seen => {
  const yaml = readYaml(text)
  const { loaded, values } = configOf(yaml, file, env)
  return { yaml, config: loaded.config, values }
}

function edit(
  file: string,
  seen: Seen,
  make: (config: Config) => readonly Edit[],
  options: EditOptions,
): Edited {
  const { env, expected, dry_run = false } = options
  // Somebody may have been quicker, up to the moment the lock was ours.
  const text = readFileSync(file, 'utf8')
  const before = sha256Hex(text)
  if (expected !== undefined && expected !== before)
    throw new EditRefused(
      'conflict',
      'the file has changed since it was read',
      'read it again, then change it',
    )
  const { yaml, config, values } = text === seen.yaml.text ? seen : seenIn(text, file, env)
  if (!dry_run) checkWritable(file)
  const edits = make(config)
  const made = splice(yaml, edits, values)
  const next = configOf(made, file, env).loaded.config
  const changed = changedPaths(config, next)
  for (const path of changed)
    if (!edits.some((one) => isWithin(path, one.path)))
      throw new EditRefused(
        'conflict',
        `${path} would change along, which nobody asked for`,
        'edit the file by hand',
      )
  const edited: Edited = { config: next, before: config, sha256: sha256Hex(made.text), changed }
  options.check?.(edited)
  if (!dry_run && edited.sha256 !== before) {
    const { who, via } = options
    const paths = edits.map((one) => one.path)
    addNote(config.data, { before, after: edited.sha256, at_ms: Date.now(), who, via, paths })
    replace(realpathSync(file), made.text)
  }
  return edited
}

/** Whether a changed path and an asked one lie on one line. */
function isWithin(changed: string, asked: Edit['path']): boolean {
  let text = ''
  for (const part of asked) {
    if (typeof part === 'number') break
    text = text === '' ? part : `${text}.${part}`
  }
  return changed === text || changed.startsWith(`${text}.`) || text.startsWith(`${changed}.`)
}

const READ_ONLY = /^(EACCES|EPERM|EROFS)$/
const readOnly = (file: string, why: string): EditRefused =>
  new EditRefused(
    'read_only',
    `${file} cannot be written here (${why})`,
    'change it where it is kept, for example in the repository it is deployed from; Weir takes it over when it changes',
  )

function checkWritable(file: string): void {
  // Also for those whom the system lets write everything: somebody meant it.
  if ((statSync(file).mode & 0o222) === 0) throw readOnly(file, 'it is marked read-only')
}

/** Puts a text in the place of a file in one step, with its owner and mode. */
function replace(file: string, text: string): void {
  const { mode, uid, gid } = statSync(file)
  const temporary = join(dirname(file), `.weir-edit.${process.pid}`)
  try {
    const descriptor = openSync(temporary, 'w', 0o600)
    try {
      writeSync(descriptor, text)
      fchmodSync(descriptor, mode & 0o777)
      const made = statSync(temporary)
      if (made.uid !== uid || made.gid !== gid) fchownSync(descriptor, uid, gid)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    const { code = '' } = error as NodeJS.ErrnoException
    if (READ_ONLY.test(code)) throw readOnly(file, code)
    if (code === 'EBUSY')
      throw new EditRefused(
        'read_only',
        `${file} is mounted by itself and cannot be replaced`,
        'mount its folder in place of the file',
      )
    throw error
  }
}

/** The lock is SQLite's on a file of its own: the system lets go of it whatever way the process ends. */
function withLock<T>(data: string, work: () => T): T {
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const lock = new DatabaseSync(join(data, 'config-edit.lock'), { timeout: LOCK_WAIT_MS })
  try {
    try {
      lock.exec('BEGIN EXCLUSIVE')
    } catch {
      throw new EditRefused(
        'conflict',
        `somebody else edits the file, for more than ${LOCK_WAIT_MS / 1000} seconds`,
        'try again',
      )
    }
    return work()
  } finally {
    lock.close()
  }
}
