/**
 * What the roof remembers of one legacy session: a session with each server, opened with the client's own capabilities.
 * Anything here can be made again from the sealed session id; only streams and questions under way cannot.
 */
import type { Message } from '../call.ts'
import { tooManySessions, WeirError } from '../errors.ts'
import { CallerCounts } from '../identity/caller-counts.ts'
import type { Session } from '../identity/session-id.ts'
import { LEGACY_VERSION } from '../mcp/versions.ts'
import { type Asked, ask } from '../upstream/ask.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** A session with one server. */
export type Member = {
  readonly upstream: Upstream
  /** '' when the server keeps no sessions. */
  readonly id: string
  readonly version: string
  readonly capabilities: Record<string, unknown>
  readonly instructions: string
  /** What the server said it is. */
  readonly info: unknown
}

export type Missed = { server: string; reason: string }

/** What a client said of itself at initialize, as JSON text for the servers. */
export type Introduction = { version: string; capabilities: string; name: string; client_version: string }

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

export const introductionOf = (session: Session): Introduction => ({
  version: session.protocol_version,
  capabilities: session.capabilities || '{}',
  name: session.client_name,
  client_version: session.client_version,
})

/** Why a server gave no session. */
function refusedBy({ status, message }: Asked): WeirError {
  const error = message?.error as { code?: unknown; message?: unknown; data?: { weir?: unknown } } | undefined
  const why = error ? `error ${error.code}: ${text(error.message)}` : `HTTP ${status}`
  const detail = `initialize was answered with ${why}`
  if (status === 401 || status === 403) return new WeirError('upstream_auth', detail)
  // 502 and 503 come from the host of stdio servers too, when a command cannot be started.
  return new WeirError(
    status >= 500 || error?.data?.weir !== undefined ? 'upstream_unavailable' : 'upstream_protocol',
    detail,
  )
}

/** Whether a server may refuse an `initialize` with this status because it is of another era. */
const refusesEra = (status: number): boolean => status === 400 || status === 404 || status === 405

/** Headers of a message Weir itself sends within a member session. */
export function memberHeaders(
  upstream: Upstream,
  caller: string,
  member: Pick<Member, 'id' | 'version'> | null,
): string[] {
  const headers = [
    ...upstream.headers,
    'content-type',
    'application/json',
    'accept',
    'application/json, text/event-stream',
  ]
  if (upstream.isHosted) headers.push('weir-principal', caller)
  if (member) {
    headers.push('mcp-protocol-version', member.version)
    if (member.id) headers.push('mcp-session-id', member.id)
  }
  return headers
}

/** Capabilities of a client as JSON text. Throws params_invalid when they are no object, or nested too deep to write. */
export function capabilitiesText(capabilities: unknown): string {
  if (capabilities === undefined || capabilities === null) return '{}'
  if (typeof capabilities !== 'object') throw new WeirError('params_invalid', 'capabilities is not an object')
  try {
    return JSON.stringify(capabilities)
  } catch (error) {
    throw new WeirError('params_invalid', 'capabilities are nested too deep', { cause: error })
  }
}

export class RoofSession {
  readonly session: Session
  readonly caller: string
  readonly #introduction: Introduction
  readonly #members = new Map<string, Promise<Member>>()
  readonly #opened = new Map<string, Member>()
  #upstreams: ReadonlyMap<string, Upstream>
  /** Whether the client has said notifications/initialized. */
  isInitialized: boolean
  last_used_ms = Date.now()
  /** Whether the client's one stream is open. */
  hasStream = false
  /** Server of each request under way by its id as JSON text, so that a cancel finds it. */
  readonly open = new Map<string, string>()
  /** Told of each session opened later: the client's stream must hear that server too. */
  readonly onMember = new Set<(member: Member) => void>()

  constructor(
    session: Session,
    introduction: Introduction,
    upstreams: ReadonlyMap<string, Upstream>,
    isInitialized: boolean,
  ) {
    this.session = session
    this.caller = session.caller
    this.#introduction = introduction
    this.#upstreams = upstreams
    this.isInitialized = isInitialized
  }

  /** Goes on with the servers of a new config. Sessions with servers that were changed or removed are forgotten. */
  adopt(upstreams: ReadonlyMap<string, Upstream>): void {
    if (upstreams === this.#upstreams) return
    for (const [name, before] of this.#upstreams)
      if (upstreams.get(name) !== before) this.#members.delete(name)
    this.#upstreams = upstreams
  }

  /** Whether somebody listens or waits: such a session is not idle. */
  get isBusy(): boolean {
    return this.hasStream || this.open.size > 0
  }

  knows(server: string): boolean {
    return this.#upstreams.has(server)
  }

  /** The session with a server, opened when there is none yet. Rejects with a WeirError. */
  member(server: string): Promise<Member> {
    const known = this.#members.get(server)
    if (known) return known
    const upstream = this.#upstreams.get(server)
    if (!upstream) return Promise.reject(new WeirError('tool_unknown'))
    const opening = this.#open(upstream)
    this.#members.set(server, opening)
    opening.then(
      (member) => {
        this.#opened.set(server, member)
        for (const tell of this.onMember) tell(member)
      },
      () => {
        if (this.#members.get(server) === opening) this.#members.delete(server)
      },
    )
    return opening
  }

  /** The sessions open now. */
  async members(): Promise<Member[]> {
    const settled = await Promise.allSettled(this.#members.values())
    return settled.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []))
  }

  /** Forgets a session that its server no longer knows. */
  lose(member: Member): void {
    const { name } = member.upstream
    // Of several calls that found it lost, only the first may forget it: the next one is new.
    if (this.#opened.get(name) === member) this.#members.delete(name)
  }

  async #open(upstream: Upstream): Promise<Member> {
    const { version, capabilities, name, client_version } = this.#introduction
    const clientInfo = JSON.stringify({ name: name || 'unknown', version: client_version || '0' })
    const body = `{"jsonrpc":"2.0","id":"weir-init","method":"initialize","params":{"protocolVersion":${JSON.stringify(version || LEGACY_VERSION)},"capabilities":${capabilities},"clientInfo":${clientInfo}}}`
    const initialize = (way: Upstream): Promise<Asked> => {
      const headers = memberHeaders(way, this.caller, null)
      // To the host: this session is part of one that was counted already.
      if (way.isHosted) headers.push('weir-roof', '1')
      return ask(way, headers, body, upstream.config.list_timeout_ms)
    }
    let way = upstream.legacyWay()
    let asked = await initialize(way)
    if (way === upstream && refusesEra(asked.status)) {
      way = await upstream.wayAfterRefusal()
      if (way !== upstream) asked = await initialize(way)
    }
    const result = asked.message?.result as Record<string, unknown> | undefined
    if (asked.status >= 400 || typeof result !== 'object' || result === null) throw refusedBy(asked)
    const member: Member = {
      upstream: way,
      id: text(asked.headers['mcp-session-id']),
      version: text(result.protocolVersion).slice(0, 32) || LEGACY_VERSION,
      capabilities:
        typeof result.capabilities === 'object' && result.capabilities !== null
          ? (result.capabilities as Record<string, unknown>)
          : {},
      instructions: text(result.instructions),
      info: result.serverInfo,
    }
    if (this.isInitialized) await this.tellInitialized(member)
    return member
  }

  async tellInitialized(member: Member): Promise<void> {
    await ask(
      member.upstream,
      memberHeaders(member.upstream, this.caller, member),
      '{"jsonrpc":"2.0","method":"notifications/initialized"}',
      member.upstream.config.list_timeout_ms,
    )
  }

  /** Ends the sessions with all servers. */
  async end(): Promise<void> {
    for (const member of await this.members())
      if (member.id) member.upstream.tell('DELETE', memberHeaders(member.upstream, this.caller, member), null)
    this.#members.clear()
  }
}

/** Ended sessions that are remembered. */
const ENDED_MAX = 10_000

/**
 * The roof's sessions of this worker, by handle. Bounded in all, where idle ones go first, and by caller, where one too
 * many is refused: a caller at its limit takes no place of another.
 */
export class RoofSessions {
  readonly #byHandle = new Map<string, RoofSession>()
  readonly #ended = new Set<string>()
  readonly #max: number
  readonly #idle_ms: number
  readonly #held = new CallerCounts()
  per_caller_max: number

  constructor(max: number, idle_ms: number, per_caller_max: number) {
    this.#max = max
    this.#idle_ms = idle_ms
    this.per_caller_max = per_caller_max
  }

  hasEnded(handle: string): boolean {
    return this.#ended.has(handle)
  }

  get(handle: string): RoofSession | null {
    const found = this.#byHandle.get(handle)
    if (!found) return null
    found.last_used_ms = Date.now()
    // Most recently used last: the first is the one to give up.
    this.#byHandle.delete(handle)
    this.#byHandle.set(handle, found)
    return found
  }

  /** Throws sessions_exhausted when its caller holds as many as it may. */
  add(session: RoofSession): void {
    this.#claim(session.caller)
    this.#byHandle.set(session.session.handle, session)
    if (this.#byHandle.size <= this.#max) return
    for (const oldest of this.#byHandle.values()) if (!oldest.isBusy) return this.#drop(oldest)
    this.#drop(this.#byHandle.values().next().value!)
  }

  /** Ends a session for good: its id, though well signed, opens nothing any more. */
  end(handle: string): void {
    if (this.#ended.size >= ENDED_MAX) this.#ended.delete(this.#ended.values().next().value!)
    this.#ended.add(handle)
    const found = this.#byHandle.get(handle)
    if (found) this.#drop(found)
  }

  /** Ends what nobody has used for a while. */
  sweep(): void {
    const limit = Date.now() - this.#idle_ms
    for (const session of this.#byHandle.values())
      if (session.last_used_ms < limit && !session.isBusy) this.#drop(session)
  }

  #claim(caller: string): void {
    if (this.#held.take(caller, this.per_caller_max)) return
    // What is idle may not have been swept yet.
    this.sweep()
    if (!this.#held.take(caller, this.per_caller_max)) throw tooManySessions(this.per_caller_max)
  }

  #drop(session: RoofSession): void {
    this.#byHandle.delete(session.session.handle)
    this.#held.free(session.caller)
    session.end().catch(() => {})
  }
}

/** A server's question as the client sees it: its id names the server, so that the answer finds its way without a table. */
export const questionId = (server: string, id: unknown): string =>
  JSON.stringify(`${server}:${JSON.stringify(id)}`)

/** Whose question an answer belongs to; null when it is none of ours. */
export function answeredQuestion(message: Message): { server: string; id: string } | null {
  if (typeof message.id !== 'string') return null
  const at = message.id.indexOf(':')
  if (at <= 0) return null
  const id = message.id.slice(at + 1)
  try {
    JSON.parse(id)
  } catch {
    return null
  }
  return { server: message.id.slice(0, at), id }
}
