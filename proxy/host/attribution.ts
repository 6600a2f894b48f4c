/**
 * Where a message of a legacy child goes that carries no address: stdio does not say which call caused it.
 * Pure. The rule, first match wins; "call" means a call some session still waits for:
 *   1. the calls are all of one session: the stream of its newest call whose client is still there, else its standalone stream;
 *   2. they are of several sessions of one principal: the same, among all of them;
 *   3. there are no calls, and one principal owns all sessions: the standalone stream of the session used last, an open one first;
 *   4. otherwise nowhere: on a shared child nobody may get what could be another principal's.
 */
import type { Recipient } from './exchange.ts'
import type { Session } from './session.ts'
import type { OpenCall } from './wire.ts'

/** `exchange` null: the standalone stream of the session. */
export type Place<S> = { session: S; exchange: Recipient | null }

export function placeOf<S extends Session<unknown>>(sessions: Iterable<S>): Place<S> | null {
  let newest: { session: S; call: OpenCall } | null = null
  let newest_alive: { session: S; call: OpenCall } | null = null
  let last_used: S | null = null
  let first: S | null = null
  let is_one_principal = true
  let calling: S | null = null
  let is_one_principal_calling = true
  for (const session of sessions) {
    first ??= session
    if (session.principal !== first.principal) is_one_principal = false
    if (last_used === null || isBetter(session, last_used)) last_used = session
    if (session.calls.size === 0) continue
    calling ??= session
    if (session.principal !== calling.principal) is_one_principal_calling = false
    for (const call of session.calls.values()) {
      // Ids towards a child only grow: the highest is the newest.
      if (newest === null || call.wire_id > newest.call.wire_id) newest = { session, call }
      if (call.exchange?.isAlive !== true || call.exchange.isAway === true) continue
      if (newest_alive === null || call.wire_id > newest_alive.call.wire_id) newest_alive = { session, call }
    }
  }
  if (newest === null)
    return is_one_principal && last_used !== null ? { session: last_used, exchange: null } : null
  if (!is_one_principal_calling) return null
  if (newest_alive !== null) return { session: newest_alive.session, exchange: newest_alive.call.exchange }
  return { session: newest.session, exchange: null }
}

const isBetter = (a: Session<unknown>, b: Session<unknown>): boolean =>
  a.hasStream === b.hasStream ? a.used_ms > b.used_ms : a.hasStream

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']

/** Whether a log message of `level` is severe enough for who asked for `wanted`. Unknown levels always are. */
export function isLogWanted(level: unknown, wanted: string | null): boolean {
  const rank = LEVELS.indexOf(String(level))
  return wanted === null || rank < 0 || rank >= LEVELS.indexOf(wanted)
}

/** The level a shared child must log at so that every session gets what it asked for. */
export function mostVerbose(levels: Iterable<string | null>): string | null {
  let lowest: string | null = null
  for (const level of levels) {
    if (level === null || !LEVELS.includes(level)) continue
    if (lowest === null || LEVELS.indexOf(level) < LEVELS.indexOf(lowest)) lowest = level
  }
  return lowest
}
