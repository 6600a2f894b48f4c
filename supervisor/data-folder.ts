/**
 * The data folder: one installation at a time, its secrets made at first start, and a note where it listens.
 * Secrets never leave it but over IPC.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Made once. `session`, `hash`: 32 bytes in hex. The others are passwords between Weir's own processes. */
export type Secrets = { session: string; hash: string; intake: string; store: string }
/** Where a running installation listens; read by the commands. */
export type RunNote = { pid: number; listen: string; console: string; store: string }

export class FolderBusy extends Error {}

export const spoolFolder = (data: string): string => join(data, 'spool')
const lockFile = (data: string): string => join(data, 'weir.lock')
const noteFile = (data: string): string => join(data, 'run.json')

/** When a process began, so that a reused pid is not taken for the old process; '' when it is gone or unknown. */
function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

function isAlive(pid: number, start: string): boolean {
  // A lock cut short by a crash or a full disk names nobody; pid 0 would mean ourselves.
  if (!Number.isInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return start === '' || processStart(pid) === start
}

/** Takes the folder for this process. Throws FolderBusy when another installation runs on it. */
export function lockFolder(data: string): void {
  mkdirSync(spoolFolder(data), { recursive: true, mode: 0o700 })
  const mine = `${process.pid} ${processStart(process.pid)}`
  for (;;) {
    try {
      writeFileSync(lockFile(data), mine, { flag: 'wx', mode: 0o600 })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const [pid, start] = readFileSync(lockFile(data), 'latin1').split(' ')
    if (isAlive(Number(pid), start ?? ''))
      throw new FolderBusy(
        `another Weir (process ${pid}) already uses ${data}; stop it, or set \`data\` to another folder`,
      )
    rmSync(lockFile(data), { force: true })
  }
}

export function unlockFolder(data: string): void {
  rmSync(noteFile(data), { force: true })
  rmSync(lockFile(data), { force: true })
}

/** The secrets of this installation; made at first use. */
export function loadSecrets(data: string): Secrets {
  const file = join(data, 'secrets.json')
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Secrets
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new Error(`${file} cannot be read: ${(error as Error).message}`)
  }
  const hex = (): string => randomBytes(32).toString('hex')
  const secrets: Secrets = { session: hex(), hash: hex(), intake: hex(), store: hex() }
  const temporary = `${file}.${process.pid}`
  writeFileSync(temporary, JSON.stringify(secrets), { mode: 0o600 })
  renameSync(temporary, file)
  chmodSync(file, 0o600)
  return secrets
}

export function writeNote(data: string, note: RunNote): void {
  const temporary = `${noteFile(data)}.${process.pid}`
  writeFileSync(temporary, JSON.stringify(note))
  renameSync(temporary, noteFile(data))
}

/** Where the installation on this folder listens; null when none runs. */
export function readNote(data: string): RunNote | null {
  try {
    const note = JSON.parse(readFileSync(noteFile(data), 'utf8')) as RunNote
    return isAlive(note.pid, '') ? note : null
  } catch {
    return null
  }
}
