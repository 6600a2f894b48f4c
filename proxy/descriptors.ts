/** How many streams the open files of this process allow. */
import { readFileSync } from 'node:fs'

/** Descriptors kept for everything that is not a stream. */
const RESERVE = 512
/** Descriptors a proxied stream takes. */
const A_STREAM = 2

/** The soft limit of open files; Infinity where it cannot be read. */
function descriptorLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft ? Number(soft) : Number.POSITIVE_INFINITY
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

export const streamsPossible = (): number => Math.floor((descriptorLimit() - RESERVE) / A_STREAM)
