/**
 * The listen streams of modern clients at a legacy server: its unsolicited notifications, filtered and stamped for each
 * listener; resources are subscribed while any listener wants them. Source: MCP 2026-07-28, subscriptions.
 */
import { setValue } from '../../mcp/splice.ts'
import { acknowledgement } from '../../mcp/subscriptions.ts'
import { META, RPC } from '../../mcp/versions.ts'
import type { Exchange } from '../exchange.ts'
import { errorText } from '../refusal.ts'
import { namesOf, type RpcMessage } from '../wire.ts'
import type { UpSession } from './up-session.ts'

/** Filter of a listen request, the capability that honours it, and the notification it lets through. */
const CHANGES = [
  ['toolsListChanged', 'tools', 'notifications/tools/list_changed'],
  ['promptsListChanged', 'prompts', 'notifications/prompts/list_changed'],
  ['resourcesListChanged', 'resources', 'notifications/resources/list_changed'],
] as const
const RESOURCES_MAX = 1000

type Listener = {
  readonly exchange: Exchange
  /** JSON text of the listen request's id. */
  readonly id: string
  readonly methods: ReadonlySet<string>
  readonly uris: ReadonlySet<string>
}

export type AskServer = (session: UpSession, method: string, params: object) => Promise<boolean>

export class Listens {
  readonly #ask: AskServer
  readonly #listeners = new Set<Listener>()
  readonly #sessions = new Set<UpSession>()

  constructor(ask: AskServer) {
    this.#ask = ask
  }

  get size(): number {
    return this.#listeners.size
  }

  /** Opens a listen stream. The first message says what of the filter is honoured. */
  open(exchange: Exchange, text: string, params: RpcMessage, session: UpSession): void {
    const { id } = namesOf(text)
    const wanted = params.notifications
    if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted))
      return exchange.settle(errorText(id, RPC.invalidParams, 'params.notifications is not an object'))
    const filter = wanted as RpcMessage
    const capabilities = (session.initialized.capabilities ?? {}) as Record<string, RpcMessage | undefined>
    const honoured: RpcMessage = {}
    const methods = new Set<string>()
    for (const [name, capability, method] of CHANGES) {
      if (filter[name] !== true || capabilities[capability]?.listChanged !== true) continue
      honoured[name] = true
      methods.add(method)
    }
    const uris = new Set<string>()
    if (Array.isArray(filter.resourceSubscriptions) && capabilities.resources?.subscribe === true) {
      for (const uri of filter.resourceSubscriptions.slice(0, RESOURCES_MAX))
        if (typeof uri === 'string') uris.add(uri)
      honoured.resourceSubscriptions = [...uris]
    }
    const listener = { exchange, id, methods, uris }
    exchange.forwarded()
    exchange.deliver(acknowledgement(id, honoured))
    const fresh = [...uris].filter((uri) => !this.#isWanted(uri))
    this.#listeners.add(listener)
    for (const one of this.#sessions) {
      one.listeners++
      for (const uri of fresh) void this.#ask(one, 'resources/subscribe', { uri })
    }
    exchange.onGone = () => this.#close(listener)
  }

  /** Another session of the same caller: what happens there is heard, too. */
  async join(session: UpSession): Promise<void> {
    this.#sessions.add(session)
    session.listeners = this.#listeners.size
    void session.child.child.exited.then(() => {
      this.#sessions.delete(session)
      // Nothing more will come; a stream that just ends tells the client to listen again.
      if (this.#sessions.size === 0) this.end()
    })
    const uris = new Set([...this.#listeners].flatMap((listener) => [...listener.uris]))
    await Promise.all([...uris].map((uri) => this.#ask(session, 'resources/subscribe', { uri })))
  }

  /** What a server said that belongs to no call. */
  hear(text: string): void {
    const message = JSON.parse(text) as { method?: unknown; params?: { uri?: unknown } }
    const method = String(message.method)
    const uri = message.params?.uri
    for (const listener of this.#listeners) {
      const isMeant =
        listener.methods.has(method) ||
        (method === 'notifications/resources/updated' && typeof uri === 'string' && listener.uris.has(uri))
      if (isMeant)
        listener.exchange.deliver(setValue(text, ['params', '_meta', META.subscriptionId], listener.id))
    }
  }

  /** Ends all streams; clients listen again elsewhere. */
  end(): void {
    for (const listener of [...this.#listeners]) {
      this.#close(listener)
      listener.exchange.endSilently()
    }
  }

  #close(listener: Listener): void {
    if (!this.#listeners.delete(listener)) return
    for (const session of this.#sessions) {
      session.listeners--
      session.used_ms = Date.now()
      for (const uri of listener.uris)
        if (session.is_open && !this.#isWanted(uri)) void this.#ask(session, 'resources/unsubscribe', { uri })
    }
  }

  #isWanted(uri: string): boolean {
    for (const listener of this.#listeners) if (listener.uris.has(uri)) return true
    return false
  }
}
