/**
 * The modern side of one hosted server: stateless calls to children that were never initialized.
 * Whether the server speaks the modern revision at all is tried out once, on a child of its own, and remembered for a while;
 * to a legacy server the bridge speaks for its modern clients.
 * Source: MCP 2026-07-28, basic/lifecycle (era detection) and basic/transports.
 */
import { LOG_LEVEL_KEY, type Verdict } from '../mcp/ladder.ts'
import { META, MODERN_VERSION, speaksModern } from '../mcp/versions.ts'
import { BridgeUp } from './bridge/up.ts'
import { Instances } from './instances.ts'
import type { Legacy, Posted } from './legacy.ts'
import { ModernChild } from './modern-child.ts'
import { spawnFailed } from './pool.ts'
import { errorText, Refusal } from './refusal.ts'
import type { ServerParts } from './server.ts'
import { namesOf, type RpcMessage } from './wire.ts'

const PROBE_TIMEOUT_MS = 10_000
/** A server that said so itself is believed longer than one that was silent or ended. */
const SAID_TTL_MS = 600_000
const SILENT_TTL_MS = 30_000

/** What is known of the server's era. */
type Era = { is_modern: boolean; until_ms: number }

export class Modern {
  readonly bridge: BridgeUp
  readonly #parts: ServerParts
  readonly #children = new Map<string, Promise<ModernChild | null>>()
  readonly #standing = new Map<string, ModernChild>()
  readonly #instances = new Instances()
  #era: Era | null = null
  #probing: Promise<unknown> | null = null

  constructor(parts: ServerParts, legacy: Legacy) {
    this.#parts = parts
    this.bridge = new BridgeUp(parts, legacy)
  }

  async post(posted: Posted, verdict: Verdict & { era: 'modern' }): Promise<void> {
    const { exchange, text, principal } = posted
    const message = posted.body as RpcMessage
    if (verdict.kind === 'notification') {
      // HTTP clients cancel by closing the stream; nothing else a client tells concerns a stateless child.
      this.#parts.counters.notifications_ignored++
      return exchange.accept()
    }
    const child = await this.childFor(principal)
    if (child === null) return this.bridge.post(posted, verdict)
    const fault = await child.schemas.fault(posted.httpRequest.headers, message)
    if (fault !== null)
      return exchange.settle(errorText(namesOf(text).id, fault.code, fault.message, fault.data), 400)
    while (child.child.isFull) await child.child.drained()
    if (!exchange.isAlive) return
    if (child.child.isEnding)
      throw new Refusal(503, 'upstream_closed', 'the server process just ended', { retry_after_ms: 1000 })
    exchange.valve = child.child
    const level = ((message.params as RpcMessage)._meta as RpcMessage)[LOG_LEVEL_KEY]
    const call = child.forward(text, message, typeof level === 'string' ? level : undefined, exchange)
    exchange.onGone = () => child.abandon(call, 'the client closed the stream')
  }

  endStreams(): void {
    this.bridge.end()
    for (const child of this.#children.values()) child.then((c) => c?.endListens()).catch(() => {})
  }

  /** The child for a principal, null when the server is a legacy one. */
  async childFor(principal: string): Promise<ModernChild | null> {
    const { config } = this.#parts
    if (config.era === 'legacy') return null
    if (config.isolation !== 'shared') return this.#childOf(principal)
    const load = (key: string): number => this.#standing.get(key)?.callsOpen() ?? 0
    return this.#instances.choose('', config.instances, load, (key) => this.#childOf(key))
  }

  async #childOf(key: string): Promise<ModernChild | null> {
    const { config } = this.#parts
    for (;;) {
      const known = this.#children.get(key)
      if (known !== undefined) {
        const child = await known
        if (child === null || !child.child.isEnding) return child
        // It just ended; its entry goes with it.
        if (this.#children.get(key) === known) {
          this.#children.delete(key)
          this.#standing.delete(key)
        }
      } else if (
        config.era === 'auto' &&
        this.#era !== null &&
        !this.#era.is_modern &&
        this.#era.until_ms > Date.now()
      )
        return null
      else if (this.#probing !== null) await this.#probing
      else return this.#add(key)
    }
  }

  #add(key: string): Promise<ModernChild | null> {
    const is_known =
      this.#parts.config.era === 'modern' ||
      (this.#era?.is_modern === true && this.#era.until_ms > Date.now())
    const starting = this.#start(key, !is_known)
    this.#children.set(key, starting)
    const forget = (): void => {
      if (this.#children.get(key) !== starting) return
      this.#children.delete(key)
      this.#standing.delete(key)
    }
    starting.then((child) => {
      if (child === null) return forget()
      if (this.#children.get(key) === starting) this.#standing.set(key, child)
      void child.child.exited.then(forget)
    }, forget)
    if (!is_known) {
      const probing = starting
        .catch(() => {})
        .then(() => {
          this.#probing = null
        })
      this.#probing = probing
    }
    return starting
  }

  async #start(owner: string, isTrial: boolean): Promise<ModernChild | null> {
    const { config, pool, name, log, undeliverable, open } = this.#parts
    const child = await pool.spawn(owner, () => new ModernChild(name, open, log, undeliverable, isTrial))
    if (!isTrial) return child
    this.#era = await this.#probe(child)
    const spawn_error = child.child.ended?.error
    if (spawn_error) {
      this.#era = null
      throw spawnFailed(config, spawn_error)
    }
    log.line('info', 'era of the server', { server: name, era: this.#era.is_modern ? 'modern' : 'legacy' })
    child.isTrial = false
    if (this.#era.is_modern) return child
    child.retire()
    return null
  }

  async #probe(child: ModernChild): Promise<Era> {
    const _meta = {
      [META.version]: MODERN_VERSION,
      [META.capabilities]: {},
      [META.clientInfo]: { name: 'weir', version: '0' },
    }
    try {
      const said = await child.wire.ask('server/discover', { _meta }, PROBE_TIMEOUT_MS)
      const versions = (said.result as { supportedVersions?: unknown } | undefined)?.supportedVersions
      const is_modern = speaksModern(versions)
      const ttl_ms = isEvidence(said) ? SAID_TTL_MS : SILENT_TTL_MS
      return { is_modern, until_ms: Date.now() + ttl_ms }
    } catch {
      return { is_modern: false, until_ms: Date.now() + SILENT_TTL_MS }
    }
  }
}

/** Whether an answer to the probe came from the server itself: over HTTP a refused credential or a 5xx says nothing of eras. */
function isEvidence({ error }: RpcMessage): boolean {
  const { data } = (error ?? {}) as { data?: { status?: unknown } }
  const status = typeof data?.status === 'number' ? data.status : 200
  return status !== 401 && status !== 403 && status < 500
}
