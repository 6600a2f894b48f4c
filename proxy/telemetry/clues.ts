/**
 * What of a call tells which run it belongs to, and what the answer is worth. The one place that knows both calls and
 * inferred runs. Only read for calls that bring neither label, session nor trace.
 */
import type { Socket } from 'node:net'
import type { Config } from '../../config/schema.ts'
import type { Call } from '../call.ts'
import { handlesOf } from './handles.ts'
import type { Clue, Connection } from './run-threads.ts'

/** Percent. A client may keep one session for several tasks, and an instrumented one may make a trace of every request. */
const SURE = { label: 100, session: 90, meta_trace: 95, header_trace: 80 } as const

export type RunRules = {
  readonly gap_us: number
  readonly isReadingIds: boolean
  readonly isReadingConnections: boolean
  readonly isReadingHandles: boolean
  /** Key of the hashes of handles. */
  readonly seed: number
}

/** For clients that always have a session. */
export const NOTHING_READ: RunRules = {
  gap_us: 0,
  isReadingIds: false,
  isReadingConnections: false,
  isReadingHandles: false,
  seed: 0,
}

export function runRules(config: Pick<Config, 'trace' | 'runs'>, seed: number): RunRules {
  const { evidence } = config.runs
  return {
    gap_us: config.trace.run_gap_ms * 1000,
    isReadingIds: evidence.includes('request_ids'),
    isReadingConnections: evidence.includes('connection'),
    isReadingHandles: evidence.includes('handles'),
    seed,
  }
}

const ARGUMENT_HANDLES_MAX = 24
const RESULT_HANDLES_MAX = 48
/** "12", or words without digits and a number ("call-12"): not UUIDs, whose last digits count nothing. */
const SEQUENCE = /^"?([^\d"\\]{0,32})(\d{1,12})"?$/
/** Results of these are one agent's own; lists are everybody's. */
const HOLDING = new Set(['tools/call', 'prompts/get', 'resources/read', 'tasks/get'])
const INTRODUCTIONS = new Set(['initialize', 'server/discover'])
const NO_HANDLES: readonly number[] = []

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

function sequenceOf(call: Call): Clue['sequence'] {
  // The id of a server's question is the server's.
  if (call.kind !== 'request' || call.id === null) return null
  const match = SEQUENCE.exec(call.id)
  return match ? { prefix: match[1]!, n: Number(match[2]) } : null
}

/** Made once: a weak reference for every call would cost more than the rest of its clues. */
const connections = new WeakMap<Socket, Connection>()

/** Null for what came through a worker's own socket: batches, WebSocket, HTTP+SSE. */
function connectionOf(call: Call): Connection | null {
  const { socket } = call.req
  if (!socket || call.isHop) return null
  const known = connections.get(socket)
  if (known) return known
  if (socket.remotePort === undefined) return null
  const held = new WeakRef(socket)
  const connection = {
    name: `${call.peer_address}:${socket.remotePort}`,
    isOpen: () => held.deref()?.destroyed === false,
  }
  connections.set(socket, connection)
  return connection
}

/** The calls after an `initialize` do not name the client again. */
function nameOf({ identity, method, client_name, client_version, req }: Call): string {
  const agent = text(req.headers['user-agent'])
  return method === 'initialize' || client_name === ''
    ? `${identity?.caller}\n${agent}\n`
    : `${identity?.caller}\n${client_name}\n${client_version}`
}

export function clueOf(call: Call, rules: RunRules): Clue {
  return {
    name: nameOf(call),
    endpoint: call.endpoint.path,
    sequence: rules.isReadingIds ? sequenceOf(call) : null,
    connection: rules.isReadingConnections ? connectionOf(call) : null,
    isToolCall: call.method === 'tools/call',
    isIntroduction: rules.isReadingIds && INTRODUCTIONS.has(call.method),
    isNotification: call.kind === 'notification',
    handles: () => {
      if (!rules.isReadingHandles) return NO_HANDLES
      const { uri, cursor, requestState, taskId } = call.message?.params ?? {}
      const words = `${call.arguments_json} ${text(uri)} ${text(cursor)} ${text(requestState)} ${text(taskId)}`
      return handlesOf(words, rules.seed, ARGUMENT_HANDLES_MAX)
    },
  }
}

/** Remembers the handles of a result, for calls that use them later. */
export function holdHandles(call: Call, result: string, rules: RunRules): void {
  if (call.inferred === null || !rules.isReadingHandles || !HOLDING.has(call.method)) return
  call.inferred.by.held(call.inferred, handlesOf(result, rules.seed, RESULT_HANDLES_MAX))
}

/** The call has opened a session: its run is that session, unless a label says otherwise. */
export function startSession(call: Call): void {
  if (call.run_source !== 'inferred' || call.run_id !== call.session?.handle) return
  call.run_source = 'session'
  call.run_confidence = SURE.session
  call.run_evidence = ''
  call.inferred?.by.leave(call.inferred)
}

/** Fills in how sure it is that the call belongs to its run, and what an inferred run goes by. */
export function weighRun(call: Call): void {
  call.run_confidence = confidenceOf(call)
  call.run_evidence = call.run_source === 'inferred' && call.inferred ? call.inferred.evidence : ''
}

function confidenceOf(call: Call): number {
  switch (call.run_source) {
    case 'label':
    case 'session':
      return SURE[call.run_source]
    case 'trace':
      return call.trace_source === 'meta' ? SURE.meta_trace : SURE.header_trace
    default:
      return call.inferred?.confidence ?? 0
  }
}
