/**
 * Who may run now: a fixed number of places, some of which readers never take, so that writers never wait for readers.
 * Pure: knows nothing of SQL or HTTP. Invariant: `running <= places`, and each queue holds at most `queue_max`.
 */
import { StoreError } from './errors.ts'

export type Role = 'reader' | 'writer'

type Waiting = { role: Role; admit: () => void }

/** Gives the place back; calling it twice is harmless. */
export type Release = () => void

export type Admission = {
  /** Resolves when a place is free. Throws code 202 when the queue is full; leaves the queue when `gone` aborts. */
  enter(role: Role, gone: AbortSignal): Promise<Release>
  snapshot(): { running: number; readers: number; waiting: number }
}

/** `places` in all, of which a quarter (at least one) is kept for writers. */
export function createAdmission(places: number, queue_max: number): Admission {
  const readerPlaces = places - Math.max(1, Math.floor(places / 4))
  const queues: Record<Role, Waiting[]> = { writer: [], reader: [] }
  let running = 0
  let readers = 0

  const isFree = (role: Role): boolean => running < places && (role === 'writer' || readers < readerPlaces)
  const take = (role: Role): Release => {
    running++
    if (role === 'reader') readers++
    let held = true
    return () => {
      if (!held) return
      held = false
      running--
      if (role === 'reader') readers--
      next()
    }
  }
  const next = (): void => {
    for (const role of ['writer', 'reader'] as const)
      while (queues[role].length > 0 && isFree(role)) queues[role].shift()!.admit()
  }

  return {
    async enter(role, gone) {
      if (isFree(role) && queues[role].length === 0) return take(role)
      if (queues[role].length >= queue_max)
        throw new StoreError(
          202,
          'TOO_MANY_SIMULTANEOUS_QUERIES',
          `Too many simultaneous queries: ${running} run and ${queue_max} wait; try again in a moment or raise store.statements_max`,
        )
      return new Promise((resolve, reject) => {
        const leave = () => {
          queues[role].splice(queues[role].indexOf(waiting), 1)
          reject(new StoreError(394, 'QUERY_WAS_CANCELLED', 'The client left before the query began'))
        }
        const waiting: Waiting = {
          role,
          admit: () => {
            gone.removeEventListener('abort', leave)
            resolve(take(role))
          },
        }
        queues[role].push(waiting)
        gone.addEventListener('abort', leave, { once: true })
      })
    },
    snapshot: () => ({ running, readers, waiting: queues.reader.length + queues.writer.length }),
  }
}
