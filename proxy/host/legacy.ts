/**
 * The legacy side of one hosted server: `initialize` finds or makes a child, a session id stands for it from then on.
 * Who shares a child is the isolation's to say; a session belongs to its principal, others do not learn that it exists.
 * Source: MCP 2025-03-26 to 2025-11-25, basic/transports (streamable HTTP).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ERRORS } from '../../event/error-table.ts'
import { CallerCounts } from '../identity/caller-counts.ts'
import { elementsOf } from '../mcp/batch.ts'
import { canonical } from '../mcp/json.ts'
import { headerOf, type Verdict } from '../mcp/ladder.ts'
import { replaceValue } from '../mcp/splice.ts'
import { LEGACY_VERSIONS, RPC } from '../mcp/versions.ts'
import { DownPeer } from './bridge/down.ts'
import type { Exchange } from './exchange.ts'
import { Instances } from './instances.ts'
import { LegacyChild, type LegacyPeer, type LegacySession } from './legacy-child.ts'
import type { ModernChild } from './modern-child.ts'
import { ROOF_HEADER, UPSTREAM_VERSION_HEADER } from './options.ts'
import { spawnFailed } from './pool.ts'
import { Refusal } from './refusal.ts'
import type { ServerParts } from './server.ts'
import { Session } from './session.ts'
import { namesOf, type RpcMessage } from './wire.ts'

/** A POST with its body, on its way to a session. */
export type Posted = {
  exchange: Exchange
  text: string
  body: unknown
  principal: string
  httpRequest: IncomingMessage
}

/** How long a server that refused `initialize` is not asked again. */
const REFUSED_TTL_MS = 600_000
/** Bounds what a client can make us remember; idle sessions are ended long before. */
const SESSIONS_MAX = 10_000
/** Revisions whose clients may send batches. */
const BATCH_VERSIONS = new Set(['2025-03-26', '2024-11-05', '2024-10-07'])

/** The child answered `initialize` with an error: there is no session, the error is for whoever asked. */
export class InitializeRefused extends Error {
  readonly text: string
  constructor(text: string) {
    super('the server refused initialize')
    this.text = text
  }
}

/** Capabilities of a client that let a server ask it something. */
export const QUESTIONS = ['sampling', 'elicitation', 'roots'] as const
/** Begins the key of a child that serves one session only. */
const ALONE = 'session '

export class Legacy {
  readonly sessions = new Map<string, LegacySession>()
  readonly #parts: ServerParts
  readonly #children = new Map<string, Promise<LegacyPeer>>()
  readonly #modern: (principal: string) => Promise<ModernChild | null>
  readonly #instances = new Instances()
  /** By session, the key of its child. */
  readonly #keys = new Map<LegacySession, string>()
  #alone = 0
  /** Until when the server is known to take no `initialize`. */
  #refused_until_ms = 0
  /** Sessions by principal, less those of the roof; and which ones count. */
  readonly #held = new CallerCounts()
  readonly #counted = new Set<string>()

  /** `modern`: the child of a principal that speaks the modern revision, null when the server does not. */
  constructor(parts: ServerParts, modern: (principal: string) => Promise<ModernChild | null>) {
    this.#parts = parts
    this.#modern = modern
  }

  async post(posted: Posted, verdict: Verdict & { era: 'legacy' }): Promise<void> {
    const { exchange, text, body, principal, httpRequest } = posted
    this.#checkVersion(httpRequest)
    if (verdict.kind === 'initialize') return this.#initialize(posted)
    const session = this.sessionOf(httpRequest, principal)
    // A server on its way out only takes what its open calls still need.
    if (this.#parts.isRetired && verdict.kind !== 'response' && verdict.kind !== 'notification')
      throw sessionUnknown()
    session.used_ms = Date.now()
    const { child } = session
    while (child.child.isFull) await child.child.drained()
    if (!session.is_open) throw sessionUnknown()
    exchange.valve = child.child
    if (session.isResumable) exchange.replay = session.replay
    tellVersion(exchange, child)
    if (verdict.kind === 'batch')
      return this.#batch(session, elementsOf(text), body as RpcMessage[], exchange)
    if (verdict.kind === 'request') return child.forward(session, text, body as RpcMessage, exchange, 0)
    this.#pass(session, text, body as RpcMessage)
    exchange.accept()
  }

  /** Opens the standalone stream of a session, or goes on with one that broke. */
  get(httpRequest: IncomingMessage, res: ServerResponse, principal: string): void {
    this.#checkVersion(httpRequest)
    const session = this.sessionOf(httpRequest, principal)
    const last = headerOf(httpRequest.headers, 'last-event-id') ?? ''
    const broken = last === '' ? null : session.replay.find(last)
    const isStanding = broken === null || broken.stream.isStanding
    // A server on its way out still has answers to its open calls.
    if (this.#parts.isRetired && isStanding) throw sessionUnknown()
    if (broken === null && session.hasStream) {
      const why = 'the session has a stream already'
      throw new Refusal(409, 'session_busy', why, {}, RPC.invalidRequest)
    }
    session.used_ms = Date.now()
    res.on('close', () => {
      session.used_ms = Date.now()
    })
    const reader = { res, streams: this.#parts.streams, valve: session.child.child, headers: {} }
    if (isStanding) session.attach(reader, broken?.seq)
    else broken.stream.read(reader, broken.seq)
  }

  delete(httpRequest: IncomingMessage, principal: string): void {
    this.close(this.sessionOf(httpRequest, principal))
  }

  /** The session a request names. Throws a Refusal when there is none of this principal. */
  sessionOf(httpRequest: IncomingMessage, principal: string): LegacySession {
    const id = headerOf(httpRequest.headers, 'mcp-session-id')
    if (id === undefined)
      throw new Refusal(
        400,
        'session_missing',
        'Mcp-Session-Id is missing; start with initialize',
        {},
        RPC.invalidRequest,
      )
    const session = this.sessions.get(id)
    if (session?.principal !== principal) throw sessionUnknown()
    return session
  }

  /** Ends all standalone streams: the server is on its way out. */
  endStreams(): void {
    for (const session of this.sessions.values()) session.stream?.cut()
  }

  close(session: LegacySession): void {
    this.sessions.delete(session.id)
    this.#keys.delete(session)
    if (this.#counted.delete(session.id)) this.#held.free(session.principal)
    session.child.closeSession(session)
    if (session.child.isAlone && session.child.sessions.size === 0) session.child.retire()
  }

  sweep(now_ms: number): void {
    const { idle_timeout_ms, timeout_max_ms } = this.#parts.config
    const children = new Set<LegacyPeer>()
    for (const session of this.sessions.values()) {
      children.add(session.child)
      const idle_since = session.idleSince()
      if (idle_since !== null && now_ms - idle_since >= idle_timeout_ms) this.close(session)
    }
    for (const child of children) child.sweep(now_ms, timeout_max_ms)
  }

  #checkVersion(httpRequest: IncomingMessage): void {
    const version = headerOf(httpRequest.headers, 'mcp-protocol-version')
    if (version === undefined || LEGACY_VERSIONS.includes(version)) return
    const why = `unsupported MCP-Protocol-Version (supported: ${LEGACY_VERSIONS.join(', ')})`
    throw new Refusal(400, 'version_unsupported', why, {}, RPC.invalidRequest)
  }

  async #initialize({ exchange, text, body, principal, httpRequest }: Posted): Promise<void> {
    const stated = headerOf(httpRequest.headers, 'mcp-session-id')
    if (stated !== undefined && this.sessions.get(stated)?.principal === principal)
      throw new Refusal(400, 'session_open', 'the session is initialized already', {}, RPC.invalidRequest)
    const params = (body as RpcMessage).params as RpcMessage | undefined
    const { id } = namesOf(text)
    // Not one of the roof, which counts its own and tells its clients no ids of events.
    const isCounted = headerOf(httpRequest.headers, ROOF_HEADER) === undefined
    const { sessions_per_caller_max: max = Number.POSITIVE_INFINITY } = this.#parts.config
    if (isCounted && !this.#held.take(principal, max)) throw sessionsExhausted(max)
    let isOpen = false
    try {
      const session = await this.enter(
        text,
        params,
        principal,
        (child) => new Session(principal, child.version, child, isCounted),
        () => exchange.isAlive,
      )
      if (session === null) return
      isOpen = true
      if (isCounted) this.#counted.add(session.id)
      exchange.headers['mcp-session-id'] = session.id
      tellVersion(exchange, session.child)
      exchange.forwarded()
      exchange.settle(replaceValue(session.child.initialize_text, ['id'], id))
    } catch (error) {
      if (!(error instanceof InitializeRefused)) throw error
      exchange.settle(replaceValue(error.text, ['id'], id))
    } finally {
      if (isCounted && !isOpen) this.#held.free(principal)
    }
  }

  /**
   * Opens a session on the child for this principal and these capabilities, which is started with `text` (an `initialize`)
   * when there is none. Null: nobody wants it any more. Throws a Refusal, or InitializeRefused.
   */
  async enter<S extends LegacySession>(
    text: string,
    params: RpcMessage | undefined,
    principal: string,
    make: (child: LegacyPeer) => S,
    isWanted: () => boolean,
  ): Promise<S | null> {
    const base = this.#keyOf(principal, params)
    const { isolation, instances } = this.#parts.config
    const count = isolation === 'shared' ? instances : 1
    const [key, child] = await this.#instances.choose(
      base,
      count,
      (one) => this.#loadOf(one),
      async (one) => [one, await this.#childFor(one, text, principal)] as const,
    )
    child.isAlone = base.startsWith(ALONE)
    if (!isWanted()) {
      child.markUnused()
      if (child.isAlone) child.retire()
      return null
    }
    if (this.sessions.size >= SESSIONS_MAX) {
      child.markUnused()
      throw new Refusal(503, 'sessions_max', 'the server has too many sessions', { retry_after_ms: 1000 })
    }
    const session = make(child)
    child.join(session)
    this.sessions.set(session.id, session)
    if (isolation === 'shared') this.#keys.set(session, key)
    return session
  }

  /** What a child has to do: its calls, and less than any call its sessions, for they will have some. */
  #loadOf(key: string): number {
    let load = 0
    for (const [session, of] of this.#keys) if (of === key) load += session.calls.size + 1 / SESSIONS_MAX
    return load
  }

  /** The child of a key; whoever comes first starts it with its own `initialize`. */
  async #childFor(key: string, text: string, principal: string): Promise<LegacyPeer> {
    for (;;) {
      const known = this.#children.get(key)
      if (known === undefined) return this.#add(key, text, principal)
      const child = await known
      if (!child.child.isEnding) return child
      // It is ending; whoever sees that first starts the next one, the others join.
      if (this.#children.get(key) === known) this.#children.delete(key)
    }
  }

  #add(key: string, text: string, principal: string): Promise<LegacyPeer> {
    const { isolation } = this.#parts.config
    // Pauses after crashes: of a caller, or of one of the shared children.
    const owner = isolation === 'shared' ? (/#\d+$/.exec(key)?.[0] ?? '') : principal
    const starting = this.#start(text, principal, owner)
    this.#children.set(key, starting)
    const forget = (): void => {
      if (this.#children.get(key) === starting) this.#children.delete(key)
    }
    starting.then((child) => {
      void child.child.exited.then(() => {
        forget()
        for (const session of [...child.sessions]) this.close(session)
      })
    }, forget)
    return starting
  }

  /** A legacy child; for a server that takes no `initialize` the bridge to its modern side. */
  async #start(text: string, principal: string, owner: string): Promise<LegacyPeer> {
    const { era } = this.#parts.config
    if (era === 'modern' || Date.now() < this.#refused_until_ms) return this.#bridge(text, principal)
    try {
      return await this.#startChild(text, owner)
    } catch (error) {
      const isRefused =
        error instanceof InitializeRefused || (error instanceof Refusal && error.reason === 'upstream_closed')
      // Why it could not be initialized says more than why it is not modern.
      const modern = era === 'legacy' || !isRefused ? null : await this.#modern(principal).catch(() => null)
      if (modern === null) throw error
      this.#refused_until_ms = Date.now() + REFUSED_TTL_MS
      return this.#bridge(text, principal)
    }
  }

  #bridge(text: string, principal: string): Promise<LegacyPeer> {
    const modern = async (): Promise<ModernChild> => {
      const child = await this.#modern(principal)
      if (child !== null) return child
      throw new Refusal(503, 'restarting', 'the server just changed its era', { retry_after_ms: 1000 })
    }
    const { params } = JSON.parse(text) as { params?: RpcMessage }
    return DownPeer.start(this.#parts.name, modern, params)
  }

  async #startChild(text: string, owner: string): Promise<LegacyChild> {
    const { config, pool, name, log, undeliverable } = this.#parts
    const child = await pool.spawn(owner, () => new LegacyChild(name, this.#parts.open, log, undeliverable))
    const answer = await child.initialize(text, config.timeout_ms).catch((error: unknown) => {
      const spawn_error = child.child.ended?.error
      throw spawn_error ? spawnFailed(config, spawn_error) : error
    })
    const result = answer.message.result as { protocolVersion?: unknown } | undefined
    if (result === undefined) {
      child.retire()
      throw new InitializeRefused(answer.text)
    }
    child.initialize_text = answer.text
    child.version = String(result.protocolVersion ?? '')
    return child
  }

  #keyOf(principal: string, params: RpcMessage | undefined): string {
    const { isolation } = this.#parts.config
    // A server's question on stdio does not say for which session it is: whoever answers questions gets a child alone.
    const isAsked = QUESTIONS.some((q) => Object.hasOwn((params?.capabilities as object) ?? {}, q))
    if (isolation === 'session' || (isolation === 'caller' && isAsked)) return `${ALONE}${++this.#alone}`
    const owner = isolation === 'shared' ? null : principal
    return JSON.stringify([owner, params?.protocolVersion ?? null, canonical(params?.capabilities ?? {})])
  }

  /** Notifications and answers of a client. */
  #pass(session: LegacySession, text: string, message: RpcMessage): void {
    if (typeof message.method === 'string') session.child.note(session, text, message)
    else if (!session.child.answer(session, text, message)) this.#parts.counters.answers_unmatched++
  }

  #batch(session: LegacySession, texts: string[], messages: RpcMessage[], exchange: Exchange): void {
    if (!BATCH_VERSIONS.has(session.version)) {
      const why = `batches do not exist in ${session.version}`
      throw new Refusal(400, 'batch_unsupported', why, {}, RPC.invalidRequest)
    }
    const isCall = (message: RpcMessage): boolean =>
      typeof message.method === 'string' && message.id !== undefined
    const calls = messages.filter(isCall).length
    if (calls > 0) exchange.expectBatch(calls)
    let slot = 0
    messages.forEach((message, i) => {
      if (isCall(message)) session.child.forward(session, texts[i]!, message, exchange, slot++)
      else this.#pass(session, texts[i]!, message)
    })
    if (calls === 0) exchange.accept()
  }
}

const tellVersion = (exchange: Exchange, { upstream_version }: LegacyPeer): void => {
  if (upstream_version !== '') exchange.headers[UPSTREAM_VERSION_HEADER] = upstream_version
}

const sessionUnknown = (): Refusal =>
  new Refusal(
    404,
    'session_unknown',
    'there is no such session; start with initialize',
    {},
    RPC.invalidRequest,
  )

function sessionsExhausted(value: number): Refusal {
  const { http, rpc, text, fix, retry } = ERRORS.sessions_exhausted
  const detail = { limit: 'http.sessions_per_caller_max', value, fix, retry }
  return new Refusal(http, 'sessions_exhausted', text, detail, rpc)
}
