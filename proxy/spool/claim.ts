/**
 * How a writer that the supervisor did not start says that it is alive: it holds a lock on a file of its own in the spool.
 * The lock is SQLite's: the system lets go of it whatever way the process ends, and no process id can be taken for another.
 * Invariant: the claim stands before any other file of its worker exists, and falls after the last of them was sealed.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { WORKER_ID } from '../../event/segment.ts'

const SUFFIX = '.lock'
const SQLITE_BUSY = 5
/** Whoever looks whether a claim is held has it himself for a moment. */
const CLAIM_WAIT_MS = 5_000
const TRIES_MAX = 20

const claimFile = (folder: string, worker_id: string): string => join(folder, `${worker_id}${SUFFIX}`)

/** The lock on a file, or null when another process holds it. */
function lock(file: string, wait_ms: number): DatabaseSync | null {
  const database = new DatabaseSync(file, { timeout: wait_ms })
  try {
    // No journal beside it: nothing is ever written.
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return null
    throw error
  }
}

export type Claim = {
  readonly worker_id: string
  /** To be called when every segment is sealed: from then on the files of this worker are the shipper's. */
  release(): void
}

/** Claims a worker id that nobody has. Throws when the folder cannot be written. */
export function claimWorker(folder: string): Claim {
  let failure: unknown = null
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const worker_id = randomBytes(8).toString('hex')
    const file = claimFile(folder, worker_id)
    let held: DatabaseSync | null = null
    try {
      held = lock(file, CLAIM_WAIT_MS)
    } catch (error) {
      failure = error
    }
    // Between the making of the file and its lock it looks like one that was left behind, and may be removed.
    if (held && existsSync(file))
      return {
        worker_id,
        release: () => {
          rmSync(file, { force: true })
          held.close()
        },
      }
    held?.close()
  }
  throw new Error(`no file can be locked in ${folder}`, { cause: failure })
}

/** Workers whose claim is held now. What the dead left of theirs is removed. */
export function claimedWorkers(folder: string): Set<string> {
  const claimed = new Set<string>()
  for (const name of readdirSync(folder)) {
    const worker_id = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : ''
    if (!WORKER_ID.test(worker_id)) continue
    const file = claimFile(folder, worker_id)
    try {
      const left = lock(file, 0)
      if (left) {
        rmSync(file, { force: true })
        left.close()
      } else claimed.add(worker_id)
    } catch {
      // What cannot be told is taken for alive: its files wait, and nothing is lost.
      if (existsSync(file)) claimed.add(worker_id)
    }
  }
  return claimed
}
