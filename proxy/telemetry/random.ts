/** Random ids from a pooled buffer: a system call per id would cost more than the rest of the event. */
import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(8192)
let used = pool.length

function take(bytes: number): number {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return used - bytes
}

const hex = (bytes: number): string => {
  const start = take(bytes)
  return pool.toString('hex', start, start + bytes)
}

/** W3C trace id: 32 hex digits. (All zero is invalid; its chance is 2^-128.) */
export const newTraceId = (): string => hex(16)
/** W3C span id: 16 hex digits. */
export const newSpanId = (): string => hex(8)

/** UUID version 7 (RFC 9562): the first 48 bits are `unix_ms`, so ids of one time lie together in the store. */
export function newEventId(unix_ms: number): string {
  const time = Math.floor(unix_ms).toString(16).padStart(12, '0')
  const r = hex(10)
  const variant = '89ab'[Number.parseInt(r[3]!, 16) & 3]
  return `${time.slice(0, 8)}-${time.slice(8)}-7${r.slice(0, 3)}-${variant}${r.slice(4, 7)}-${r.slice(7, 19)}`
}
