/** Cursor of a merged list: where each server stands, signed, bound to caller and method. Foreign cursors are refused. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { WeirError } from '../errors.ts'

/** Upstream cursor by server name; only servers that have more. */
export type Positions = Readonly<Record<string, string>>

const mac = (key: Buffer, caller: string, method: string, payload: string): string =>
  createHmac('sha256', key)
    .update(`cursor\n${caller}\n${method}\n${payload}`)
    .digest()
    .subarray(0, 16)
    .toString('base64url')

export function sealCursor(key: Buffer, caller: string, method: string, positions: Positions): string {
  const payload = Buffer.from(JSON.stringify(positions)).toString('base64url')
  return `${payload}.${mac(key, caller, method, payload)}`
}

/** Throws cursor_invalid for anything sealCursor did not make for this caller and method. */
export function openCursor(key: Buffer, caller: string, method: string, cursor: unknown): Positions {
  if (typeof cursor !== 'string' || cursor.length > 65_536) throw new WeirError('cursor_invalid')
  const dot = cursor.lastIndexOf('.')
  const payload = cursor.slice(0, Math.max(0, dot))
  const given = Buffer.from(cursor.slice(dot + 1))
  const wanted = Buffer.from(mac(key, caller, method, payload))
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new WeirError('cursor_invalid')
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Positions
}
