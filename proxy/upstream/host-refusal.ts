/**
 * What the host of stdio servers answers itself, as the outcome it stands for: its JSON-RPC errors carry the reason in
 * `data.weir`. Without this a command that cannot start would be recorded as an error the server gave.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Outcome, Owner } from '../../event/fields.ts'
import type { Call } from '../call.ts'
import type { Reason } from '../host/refusal.ts'

const MEANINGS: Partial<Record<Reason, readonly [Outcome, Owner]>> = {
  spawn_failed: ['unavailable', 'config'],
  connect_failed: ['unavailable', 'capacity'],
  server_unknown: ['unavailable', 'weir'],
  server_removed: ['unavailable', 'config'],
  draining: ['unavailable', 'weir'],
  restarting: ['unavailable', 'upstream'],
  processes_max: ['unavailable', 'capacity'],
  sessions_max: ['unavailable', 'capacity'],
  sessions_exhausted: ['limited', 'client'],
  initialize_timeout: ['timeout', 'upstream'],
  upstream_closed: ['upstream_error', 'upstream'],
  memory_exceeded: ['upstream_error', 'upstream'],
  answer_too_large: ['upstream_error', 'upstream'],
  undeliverable: ['upstream_error', 'client'],
  session_lost: ['upstream_error', 'upstream'],
  bridge_impossible: ['upstream_error', 'client'],
  internal: ['upstream_error', 'weir'],
  session_missing: ['invalid', 'client'],
  session_unknown: ['invalid', 'client'],
  session_open: ['invalid', 'client'],
  event_unknown: ['invalid', 'client'],
  session_ended: ['cancelled', 'client'],
  id_in_use: ['invalid', 'client'],
  batch_unsupported: ['invalid', 'client'],
  version_unsupported: ['invalid', 'client'],
}

/** Corrects the outcome of a call whose error came from the host and not from the server. */
export function readHostRefusal(call: Call, text: string): void {
  if (call.outcome !== 'rpc_error' || !text.includes('"weir":"')) return
  const { error } = JSON.parse(text) as { error?: { message?: string; data?: { weir?: unknown } } }
  const reason = error?.data?.weir
  const meaning =
    typeof reason === 'string' && Object.hasOwn(MEANINGS, reason) ? MEANINGS[reason as Reason] : undefined
  if (meaning) call.refail(meaning[0], meaning[1], reason as string, error?.message ?? '')
}

/** What the host says beside an answer: the revision it spoke with the server, and how long a call waited for a child. */
export function readHostHeaders(call: Call, headers: IncomingHttpHeaders): void {
  const version = headers['weir-upstream-version']
  if (typeof version === 'string') call.upstream_protocol_version = version.slice(0, 32)
  const queue = headers['weir-queue-us']
  if (typeof queue !== 'string') return
  const waited_us = Math.max(0, Math.min(Number(queue) || 0, call.first_byte_us - call.sent_us))
  // The host's wait for a child process is a queue of ours, not the server's time.
  call.queue_us += waited_us
  call.forwarded_us += waited_us
  call.sent_us += waited_us
}
