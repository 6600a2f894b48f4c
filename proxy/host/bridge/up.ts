/**
 * Modern clients at a legacy server: sessions kept for them, by principal and declared capabilities, because a legacy
 * server learns those once while a modern client says them with every request.
 * A server on a line does not say which call a question belongs to, so calls that may be asked get a session (and so a
 * child) each while there is room; beyond that they share, and a question may come by way of another call of the same caller.
 * Source: MCP 2026-07-28, basic/lifecycle; legacy revisions, basic/lifecycle.
 */
import { canonical } from '../../mcp/json.ts'
import { LOG_LEVEL_KEY, type Verdict } from '../../mcp/ladder.ts'
import { replaceValue } from '../../mcp/splice.ts'
import { discoverResult, introduction, legacyRequest, MAY_ASK, REMOVED } from '../../mcp/upgrade.ts'
import { LEGACY_VERSION, META, RPC } from '../../mcp/versions.ts'
import { mostVerbose } from '../attribution.ts'
import type { Recipient } from '../exchange.ts'
import { InitializeRefused, type Legacy, type Posted, QUESTIONS } from '../legacy.ts'
import { UPSTREAM_VERSION_HEADER } from '../options.ts'
import { errorText, Refusal } from '../refusal.ts'
import type { ServerParts } from '../server.ts'
import { namesOf, type RpcMessage } from '../wire.ts'
import { Listens } from './listens.ts'
import { digestOf, StateSeal } from './request-state.ts'
import { UpCall, type UpSurroundings } from './up-call.ts'
import { type UpSession, upSessionOn } from './up-session.ts'

/** Most calls of a server that may wait for answers of users. */
const PARKED_MAX = 1000
const ASK_TIMEOUT_MS = 10_000

/** Sessions for one principal with one set of capabilities. */
type Group = {
  readonly principal: string
  readonly sessions: UpSession[]
  /** The first session on its way. */
  opening: Promise<UpSession> | null
  readonly listens: Listens
}

export class BridgeUp {
  readonly #parts: ServerParts
  readonly #legacy: Legacy
  readonly #groups = new Map<string, Group>()
  readonly #parked = new Map<number, UpCall>()
  readonly #seal = new StateSeal()
  readonly #env: UpSurroundings
  #calls = 0

  constructor(parts: ServerParts, legacy: Legacy) {
    this.#parts = parts
    this.#legacy = legacy
    const parked = this.#parked
    this.#env = {
      server: parts.name,
      seal: this.#seal,
      park: (call) => parked.set(call.number, call),
      unpark: (call) => parked.delete(call.number),
      lost: (kind) => {
        parts.undeliverable[kind]++
      },
      get isFull() {
        return parked.size >= PARKED_MAX
      },
    }
  }

  get callsParked(): number {
    return this.#parked.size
  }

  /** A request with a valid envelope. Throws a Refusal. */
  async post(posted: Posted, verdict: Verdict & { era: 'modern' }): Promise<void> {
    const { exchange, text } = posted
    const { id } = namesOf(text)
    if (REMOVED.has(verdict.method)) {
      const why = `${verdict.method} does not exist in ${verdict.version}`
      return exchange.settle(errorText(id, RPC.methodNotFound, why), 404)
    }
    const message = posted.body as RpcMessage
    const params = message.params as RpcMessage
    if (params.requestState !== undefined && MAY_ASK.has(verdict.method)) {
      const digest = digestOf(verdict.method, params)
      const { principal } = posted
      const state = this.#seal.open(params.requestState, this.#parts.name, principal, digest, Date.now())
      const call = state === null ? undefined : this.#parked.get(state.call)
      // Number 0: there is no call to go on with, it is made again.
      if (state === null || (state.call !== 0 && call?.round !== state.round)) {
        const why = 'requestState belongs to no waiting call of this request: make the call anew without it'
        return exchange.settle(errorText(id, RPC.invalidParams, why))
      }
      if (call) {
        exchange.headers[UPSTREAM_VERSION_HEADER] = call.session.version
        return call.resume(exchange, text, message)
      }
    }
    try {
      await this.#call(posted, message, verdict)
    } catch (error) {
      if (!(error instanceof InitializeRefused)) throw error
      exchange.settle(replaceValue(error.text, ['id'], id))
    }
  }

  /** The server is on its way out: what waits for users is given up, listeners listen elsewhere. */
  end(): void {
    for (const call of [...this.#parked.values()]) call.abandon('the server is stopping')
    for (const group of this.#groups.values()) group.listens.end()
  }

  async #call(
    posted: Posted,
    message: RpcMessage,
    verdict: Verdict & { era: 'modern' },
    isRetry = false,
  ): Promise<void> {
    const { principal } = posted
    const { method } = verdict
    const meta = (message.params as RpcMessage)._meta as RpcMessage
    const group = this.#groupOf(principal, meta)
    const session = await this.#session(group, meta, MAY_ASK.has(method))
    try {
      await this.#callIn(session, group, posted, message, verdict, isRetry)
    } finally {
      session.claims--
    }
  }

  async #callIn(
    session: UpSession,
    group: Group,
    posted: Posted,
    message: RpcMessage,
    verdict: Verdict & { era: 'modern' },
    isRetry: boolean,
  ): Promise<void> {
    const { exchange, text, principal } = posted
    const { method } = verdict
    const params = message.params as RpcMessage
    const meta = params._meta as RpcMessage
    if (!exchange.isAlive) return
    exchange.headers[UPSTREAM_VERSION_HEADER] = session.version
    if (method === 'server/discover') {
      const result = JSON.stringify(discoverResult(session.initialized))
      return exchange.settle(`{"jsonrpc":"2.0","id":${namesOf(text).id},"result":${result}}`)
    }
    if (method === 'subscriptions/listen') return group.listens.open(exchange, text, params, session)
    const fault = await session.schemas.fault(posted.httpRequest.headers, message)
    if (fault !== null)
      return exchange.settle(errorText(namesOf(text).id, fault.code, fault.message, fault.data), 400)
    const level = meta[LOG_LEVEL_KEY]
    if (typeof level === 'string') await this.#setLevel(session, level)
    while (session.child.child.isFull) await session.child.child.drained()
    if (!exchange.isAlive) return
    const digest = digestOf(method, params)
    const again = (): void => {
      this.#call(posted, message, verdict, true).catch((error) => exchange.refuse(error, namesOf(text).id))
    }
    const retry = isRetry ? null : again
    const call = new UpCall(this.#env, ++this.#calls, principal, session, message, digest, retry)
    call.carry(exchange, text, message)
    const forwarded = replaceValue(legacyRequest(text), ['id'], JSON.stringify(call.wireId))
    session.child.forward(session, forwarded, { ...message, id: call.wireId }, call, 0)
  }

  #groupOf(principal: string, meta: RpcMessage): Group {
    const key = JSON.stringify([principal, canonical(meta[META.capabilities] ?? {})])
    let group = this.#groups.get(key)
    if (!group) {
      // Groups hold nothing once their sessions are over.
      for (const [old, { sessions, opening, listens }] of this.#groups)
        if (opening === null && listens.size === 0 && !sessions.some((s) => s.is_open))
          this.#groups.delete(old)
      group = {
        principal,
        sessions: [],
        opening: null,
        listens: new Listens((session, method, params) => this.#ask(session, method, params)),
      }
      this.#groups.set(key, group)
    }
    return group
  }

  /**
   * A session for a call of the group, claimed until the call is forwarded: whoever chooses meanwhile must see it taken.
   * `isAlone`: the server may ask during the call, so no other such call should be on it.
   */
  async #session(group: Group, meta: RpcMessage, isAlone: boolean): Promise<UpSession> {
    const claimed = (session: UpSession): UpSession => {
      session.claims++
      return session
    }
    const open = group.sessions.filter((s) => s.is_open && !s.child.child.isEnding)
    group.sessions.splice(0, Infinity, ...open)
    if (open.length === 0) {
      group.opening ??= this.#open(group, meta).finally(() => {
        group.opening = null
      })
      const first = await group.opening
      return isAlone && !first.isFree ? this.#session(group, meta, isAlone) : claimed(first)
    }
    const [first] = open
    const declared = (meta[META.capabilities] ?? {}) as RpcMessage
    if (!isAlone || !QUESTIONS.some((question) => Object.hasOwn(declared, question))) return claimed(first!)
    const free = open.find((s) => s.isFree)
    if (free) return claimed(free)
    try {
      const opened = await this.#open(group, meta)
      return opened.isFree ? claimed(opened) : await this.#session(group, meta, isAlone)
    } catch (error) {
      if (!(error instanceof Refusal) || error.reason !== 'processes_max') throw error
      return claimed(open.reduce((least, s) => (s.calls.size < least.calls.size ? s : least)))
    }
  }

  async #open(group: Group, meta: RpcMessage): Promise<UpSession> {
    const { principal } = group
    const text = introduction(LEGACY_VERSION, meta)
    const { params } = JSON.parse(text) as { params: RpcMessage }
    const session = (await this.#legacy.enter(text, params, principal, upSessionOn(principal), () => true))!
    const { result } = JSON.parse(session.child.initialize_text) as { result: RpcMessage }
    session.initialized = result
    session.serverInfo = result.serverInfo === undefined ? '' : JSON.stringify(result.serverInfo)
    session.hears = (heard) => group.listens.hear(heard)
    const initialized = { jsonrpc: '2.0', method: 'notifications/initialized' }
    session.child.note(session, JSON.stringify(initialized), initialized)
    group.sessions.push(session)
    await group.listens.join(session)
    return session
  }

  async #setLevel(session: UpSession, level: string): Promise<void> {
    const capabilities = session.initialized.capabilities as RpcMessage | undefined
    if (capabilities?.logging === undefined) return
    if (session.log_level !== null && mostVerbose([session.log_level, level]) === session.log_level) return
    await this.#ask(session, 'logging/setLevel', { level })
  }

  /** Asks the server something for the bridge itself. False: it refused, or is gone. */
  #ask(session: UpSession, method: string, params: object): Promise<boolean> {
    return new Promise((resolve) => {
      const id = `weir-${++this.#calls}`
      const message = { jsonrpc: '2.0', id, method, params: params as RpcMessage }
      const timer = setTimeout(() => {
        session.child.abandon(session, `s${id}`, 'no answer came in time')
        resolve(false)
      }, ASK_TIMEOUT_MS)
      const done = (isDone: boolean): void => {
        clearTimeout(timer)
        resolve(isDone)
      }
      const recipient: Recipient = {
        isAlive: true,
        deliver() {},
        settle: (text) => done((JSON.parse(text) as RpcMessage).error === undefined),
        endSilently: () => done(false),
        refuse: () => done(false),
        forwarded() {},
      }
      session.child.forward(session, JSON.stringify(message), message, recipient, 0)
    })
  }
}
