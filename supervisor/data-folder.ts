/**
 * The data folder: one installation at a time, its secrets made at first start, and a note where it listens.
 * Secrets never leave it but over IPC.
 */
import { randomBytes } from 'node:crypto'
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Made once. `session`, `hash`: 32 bytes in hex. The others are passwords between Weir's own processes. */
export type Secrets = { session: string; hash: string; intake: string; store: string }
/** Where a running installation listens; read by the commands. */
export type RunNote = {
  pid: number
  /** The first of `listeners`. */
  listen: string
  listeners: readonly string[]
  console: string
  store: string
  /** The admin API; '' when there is none. */
  admin: string
  /** The text of weir.yaml in force, and why a newer one is not ('' when it is). */
  config: { sha256: string; refused: string; refused_sha256: string }
}

export class FolderBusy extends Error {}

export const spoolFolder = (data: string): string => join(data, 'spool')
/** Makes the folder and its spool, for their owner only. Returns the spool. */
export function makeSpoolFolder(data: string): string {
  const folder = spoolFolder(data)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

const lockFile = (data: string): string => join(data, 'weir.lock')
/** The note in a data folder, and its copy in the folder of the sockets. */
export const noteFile = (folder: string): string => join(folder, 'run.json')
const runLink = (data: string): string => join(data, 'run')

export const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Locks this process holds, by folder. */
const held = new Map<string, DatabaseSync>()
const SQLITE_BUSY = 5
export const RUN_PREFIX = 'weir-run-'

/**
 * Takes the folder for this process. Throws FolderBusy when another installation runs on it. The lock is SQLite's on a file
 * of its own: the system lets go of it whatever way the process ends, and no two can get it at once.
 */
export function lockFolder(data: string): void {
  makeSpoolFolder(data)
  const file = lockFile(data)
  const lock = new DatabaseSync(file, { timeout: 0 })
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY)
      throw new Error(
        `${file} cannot be locked (${(error as Error).message}); delete it when no Weir runs there`,
      )
    const other = readNote(data)?.pid
    throw new FolderBusy(
      `another Weir${other ? ` (process ${other})` : ''} already uses ${data}; stop it, or set \`data\` to another folder`,
    )
  }
  held.set(data, lock)
}

/** Sockets need a short path, which the data folder may not have. What a killed run left is removed. */
export function makeRunFolder(data: string): string {
  removeRunFolder(data)
  const folder = mkdtempSync(join(tmpdir(), RUN_PREFIX))
  symlinkSync(folder, runLink(data))
  return folder
}

export function removeRunFolder(data: string): void {
  try {
    const folder = readlinkSync(runLink(data))
    // Nothing but what was made above is ever removed, wherever the link points.
    if (dirname(folder) === tmpdir() && basename(folder).startsWith(RUN_PREFIX))
      rmSync(folder, { recursive: true, force: true })
  } catch {
    // None was left.
  }
  rmSync(runLink(data), { force: true })
}

export function unlockFolder(data: string): void {
  rmSync(noteFile(data), { force: true })
  // The file stays: whoever removed it could take it from one that has just locked it.
  held.get(data)?.close()
  held.delete(data)
}

/** The secrets of this installation; made at first use. Whoever comes first makes them, also without the lock. */
export function loadSecrets(data: string): Secrets {
  const file = join(data, 'secrets.json')
  const known = readSecrets(file)
  if (known) return known
  const hex = (): string => randomBytes(32).toString('hex')
  const secrets: Secrets = { session: hex(), hash: hex(), intake: hex(), store: hex() }
  const temporary = `${file}.${randomBytes(8).toString('hex')}`
  writeFileSync(temporary, JSON.stringify(secrets), { mode: 0o600 })
  try {
    // A link appears whole or not at all, and never in the place of another's.
    linkSync(temporary, file)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    // Some file systems know no links; there the last of several that start at once would win.
    if (/^(EPERM|ENOSYS|ENOTSUP|EOPNOTSUPP)$/.test(code)) renameSync(temporary, file)
    else if (code !== 'EEXIST') throw error
  } finally {
    rmSync(temporary, { force: true })
  }
  return readSecrets(file) ?? secrets
}

function readSecrets(file: string): Secrets | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Secrets
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new Error(`${file} cannot be read: ${(error as Error).message}`)
  }
}

export function writeNote(folder: string, note: RunNote): void {
  const temporary = `${noteFile(folder)}.${process.pid}`
  writeFileSync(temporary, JSON.stringify(note))
  renameSync(temporary, noteFile(folder))
}

/** Where the installation on this folder listens; null when none runs. */
export function readNote(data: string): RunNote | null {
  try {
    const note = JSON.parse(readFileSync(noteFile(data), 'utf8')) as RunNote
    return isAlive(note.pid) ? note : null
  } catch {
    return null
  }
}
