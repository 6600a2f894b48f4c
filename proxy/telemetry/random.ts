/**
 * Random ids from a pool of hex digits: a system call per id would cost more than the rest of the event.
 * An event id is laid out in a buffer and read once, which is five times cheaper than joining its parts (bench/micro/trace.ts).
 */
import { randomFillSync } from 'node:crypto'

const POOL_BYTES = 8192
const random = Buffer.alloc(POOL_BYTES)
/** The same bytes as hex digits. */
const digits = Buffer.alloc(2 * POOL_BYTES)
let used = digits.length

/** Index of `count` fresh hex digits. */
function take(count: number): number {
  if (used + count > digits.length) {
    randomFillSync(random)
    digits.write(random.toString('hex'), 0, 'latin1')
    used = 0
  }
  used += count
  return used - count
}

const hex = (count: number): string => {
  const start = take(count)
  return digits.toString('latin1', start, start + count)
}

/** W3C trace id: 32 hex digits. (All zero is invalid; its chance is 2^-128.) */
export const newTraceId = (): string => hex(32)
/** W3C span id: 16 hex digits. */
export const newSpanId = (): string => hex(16)

const VARIANTS = Buffer.from('89ab')
const HEX = Buffer.from('0123456789abcdef')
const uuid = Buffer.from('00000000-0000-7000-8000-000000000000')
let uuid_ms = 0

/** UUID version 7 (RFC 9562): the first 48 bits are `unix_ms`, so ids of one time lie together in the store. */
export function newEventId(unix_ms: number): string {
  const ms = Math.floor(unix_ms)
  if (ms !== uuid_ms) {
    // Two halves: bit operations know 32 bits only.
    const high = Math.floor(ms / 2 ** 24)
    for (let i = 0; i < 6; i++) uuid[i] = HEX[(high >> (20 - 4 * i)) & 15]!
    const low = ms % 2 ** 24
    for (let i = 0; i < 6; i++) uuid[i < 2 ? 6 + i : 7 + i] = HEX[(low >> (20 - 4 * i)) & 15]!
    uuid_ms = ms
  }
  let from = take(19)
  // The low two bits of one digit choose among the four variants.
  uuid[19] = VARIANTS[digits[from++]! & 3]!
  for (let i = 15; i < 18; i++) uuid[i] = digits[from++]!
  for (let i = 20; i < 23; i++) uuid[i] = digits[from++]!
  for (let i = 24; i < 36; i++) uuid[i] = digits[from++]!
  return uuid.toString('latin1')
}
