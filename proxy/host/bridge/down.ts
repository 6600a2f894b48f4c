/**
 * A modern server as its legacy clients see it: sessions that exist only here, one set of declared capabilities each.
 * Every request is stamped with what the session stands for; what the server tells on a listen stream goes to the sessions.
 * Source: MCP 2026-07-28, basic/lifecycle (compatibility); legacy revisions, basic/lifecycle.
 */
import { initializeResult, modernCapabilities } from '../../mcp/downgrade.ts'
import { MODERN_VERSION, RPC } from '../../mcp/versions.ts'
import type { Recipient } from '../exchange.ts'
import type { LegacyPeer, LegacySession } from '../legacy-child.ts'
import type { ModernChild } from '../modern-child.ts'
import { errorText, Refusal } from '../refusal.ts'
import { mintSessionId } from '../session.ts'
import { ENVELOPE } from '../tool-schemas.ts'
import { idKey, namesOf, type RpcMessage } from '../wire.ts'
import { DownCall, type DownSurroundings } from './down-call.ts'
import { DownListen } from './down-listen.ts'

const DISCOVER_TIMEOUT_MS = 10_000

export class DownPeer implements LegacyPeer {
  isAlone = false
  readonly sessions = new Set<LegacySession>()
  readonly initialize_text: string
  readonly version: string
  readonly upstream_version = MODERN_VERSION
  readonly child: LegacyPeer['child']
  readonly #env: DownSurroundings
  readonly #calls = new Map<LegacySession, Map<string, DownCall>>()
  readonly #asked = new Map<string, { session: LegacySession; answered: (message: RpcMessage) => void }>()
  readonly #listen: DownListen
  #is_ending = false
  #exited!: () => void

  /** Asks the server who it is. `params`: of the client's `initialize`. Throws a Refusal. */
  static async start(
    server: string,
    modern: () => Promise<ModernChild>,
    params: RpcMessage | undefined,
  ): Promise<DownPeer> {
    const child = await modern()
    const { result, error } = (await child.wire.ask(
      'server/discover',
      { _meta: ENVELOPE },
      DISCOVER_TIMEOUT_MS,
    )) as {
      result?: RpcMessage
      error?: { message?: unknown }
    }
    if (result === undefined)
      throw new Refusal(502, 'bridge_impossible', `server/discover failed: ${String(error?.message ?? '')}`)
    return new DownPeer(modern, initializeResult(result, params?.protocolVersion, server), params)
  }

  private constructor(
    modern: () => Promise<ModernChild>,
    initialized: RpcMessage,
    params: RpcMessage | undefined,
  ) {
    this.initialize_text = JSON.stringify({ jsonrpc: '2.0', id: 0, result: initialized })
    this.version = String(initialized.protocolVersion)
    this.#env = {
      capabilities: modernCapabilities(params?.capabilities, this.version),
      clientInfo: params?.clientInfo,
      wrapped: new Set(),
      version: this.version,
      modern,
      ask: (session, answered) => {
        const id = `weir-${mintSessionId()}`
        this.#asked.set(id, { session, answered })
        return id
      },
      withdraw: (id) => this.#asked.delete(id),
    }
    this.#listen = new DownListen(this.#env, initialized.capabilities as RpcMessage, this.sessions)
    this.child = this.#line()
  }

  join(session: LegacySession): void {
    this.sessions.add(session)
    this.#calls.set(session, new Map())
    this.#listen.update()
  }

  closeSession(session: LegacySession): void {
    if (!this.sessions.delete(session)) return
    for (const call of [...(this.#calls.get(session)?.values() ?? [])]) call.cancel('the session ended')
    this.#calls.delete(session)
    session.close()
    for (const [id, asked] of this.#asked) if (asked.session === session) this.#asked.delete(id)
    this.markUnused()
    if (this.sessions.size > 0) this.#listen.update()
  }

  forward(
    session: LegacySession,
    text: string,
    message: RpcMessage,
    recipient: Recipient,
    slot: number,
  ): void {
    const { id } = namesOf(text)
    const key = idKey(message.id, id)
    const method = String(message.method)
    const params = (message.params ?? {}) as RpcMessage
    const calls = this.#calls.get(session)!
    if (calls.has(key)) {
      const why = 'a request with this id is still open in the session'
      return recipient.refuse(new Refusal(400, 'id_in_use', why, {}, RPC.invalidRequest), id, slot)
    }
    const done = (): void => recipient.settle(`{"jsonrpc":"2.0","id":${id},"result":{}}`, 200, slot)
    switch (method) {
      case 'ping':
        return done()
      case 'logging/setLevel':
        session.log_level = typeof params.level === 'string' ? params.level : null
        return done()
      case 'resources/subscribe':
        session.subscriptions.add(String(params.uri))
        return void this.#listen.update().then(done)
      case 'resources/unsubscribe':
        session.subscriptions.delete(String(params.uri))
        return void this.#listen.update().then(done)
    }
    if (method.startsWith('tasks/') || method === 'server/discover' || method === 'subscriptions/listen')
      return recipient.settle(errorText(id, RPC.methodNotFound, 'Method not found'), 200, slot)
    const call = new DownCall(this.#env, session, key, text, message, recipient, slot, () =>
      calls.delete(key),
    )
    calls.set(key, call)
    void call.send()
  }

  /** Only a cancel means something to a server without sessions. */
  note(session: LegacySession, _text: string, message: RpcMessage): void {
    if (message.method !== 'notifications/cancelled') return
    const requestId = (message.params as RpcMessage | undefined)?.requestId
    const key = idKey(requestId, JSON.stringify(requestId ?? null))
    this.#calls.get(session)?.get(key)?.cancel('the client cancelled the call')
  }

  answer(session: LegacySession, _text: string, message: RpcMessage): boolean {
    const asked = this.#asked.get(String(message.id))
    if (asked?.session !== session) return false
    this.#asked.delete(String(message.id))
    asked.answered(message)
    return true
  }

  sweep(now_ms: number): void {
    for (const session of this.sessions) session.sweep(now_ms)
  }

  /** Nothing of it lasts: without sessions it is over. */
  markUnused(): void {
    if (this.sessions.size === 0) this.retire()
  }

  retire(): void {
    if (this.#is_ending) return
    this.#is_ending = true
    this.#listen.end()
    this.#exited()
  }

  /** The line of whichever child serves now; sessions outlive children that keep no state. */
  #line(): LegacyPeer['child'] {
    const { modern } = this.#env
    const held: Promise<ModernChild | null>[] = []
    const isEnding = (): boolean => this.#is_ending
    return {
      isFull: false,
      drained: () => Promise.resolve(),
      get isEnding() {
        return isEnding()
      },
      exited: new Promise((resolve) => {
        this.#exited = () => resolve({ exit_code: null, signal: null, error: null, asked: true, lived_ms: 0 })
      }),
      hold: () => {
        const child = modern().catch(() => null)
        held.push(child)
        void child.then((c) => c?.child.hold())
      },
      release: () => void held.pop()?.then((c) => c?.child.release()),
    }
  }
}
