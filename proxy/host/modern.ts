/**
 * The modern side of one hosted server: stateless calls to children that were never initialized.
 * Whether the server speaks the modern revision at all is tried out once, on a child of its own, and remembered for a while;
 * a legacy server is answered for, so that clients fall back, and never hangs a call.
 * Source: MCP 2026-07-28, basic/lifecycle (era detection) and basic/transports.
 */
import { LOG_LEVEL_KEY, paramsFault, type Verdict } from '../mcp/ladder.ts'
import { LEGACY_VERSIONS, META, MODERN_VERSION, MODERN_VERSIONS, RPC } from '../mcp/versions.ts'
import type { Posted } from './legacy.ts'
import { ModernChild } from './modern-child.ts'
import { spawnFailed } from './pool.ts'
import { errorText, Refusal } from './refusal.ts'
import type { ServerParts } from './server.ts'
import { namesOf, type RpcMessage } from './wire.ts'

const PROBE_TIMEOUT_MS = 10_000
/** A server that said so itself is believed longer than one that was silent or ended. */
const SAID_TTL_MS = 600_000
const SILENT_TTL_MS = 30_000

/** What is known of the server's era. `said`: its own answer to server/discover when that told legacy. */
type Era = { is_modern: boolean; said: RpcMessage | null; until_ms: number }

const isModernVersion = (version: unknown): boolean => MODERN_VERSIONS.includes(version as string)

export class Modern {
  readonly #parts: ServerParts
  readonly #children = new Map<string, Promise<ModernChild | null>>()
  #era: Era | null = null
  #probing: Promise<unknown> | null = null

  constructor(parts: ServerParts) {
    this.#parts = parts
  }

  async post(posted: Posted, verdict: Verdict & { era: 'modern' }): Promise<void> {
    const { exchange, text, principal } = posted
    const message = posted.body as RpcMessage
    if (verdict.kind === 'notification') {
      // HTTP clients cancel by closing the stream; nothing else a client tells concerns a stateless child.
      this.#parts.counters.notifications_ignored++
      return exchange.accept()
    }
    const child = await this.#childFor(principal)
    if (child === null) return this.#answerAsLegacy(posted, verdict)
    const params = message.params as RpcMessage
    if (verdict.method === 'tools/call' && typeof params.name === 'string') {
      const fault = await this.#paramsFault(child, posted, params, params.name)
      if (fault !== null) return exchange.settle(fault, 400)
    }
    while (child.child.isFull) await child.child.drained()
    if (!exchange.isAlive) return
    if (child.child.isEnding)
      throw new Refusal(503, 'upstream_closed', 'the server process just ended', { retry_after_ms: 1000 })
    exchange.valve = child.child
    const level = (params._meta as RpcMessage)[LOG_LEVEL_KEY]
    child.forward(text, message, typeof level === 'string' ? level : undefined, exchange)
  }

  endStreams(): void {
    for (const child of this.#children.values()) child.then((c) => c?.endListens()).catch(() => {})
  }

  async #paramsFault(
    child: ModernChild,
    posted: Posted,
    params: RpcMessage,
    tool: string,
  ): Promise<string | null> {
    const { headers } = posted.httpRequest
    const id = (posted.body as { id: string | number }).id
    if (paramsFault(headers, params, await child.schemas.of(tool), id) === null) return null
    const fault = paramsFault(headers, params, await child.schemas.fresh(tool), id)
    if (fault === null) return null
    return errorText(namesOf(posted.text).id, fault.code, fault.message, fault.data)
  }

  /** The child for a principal, null when the server is a legacy one. */
  async #childFor(principal: string): Promise<ModernChild | null> {
    const { config } = this.#parts
    if (config.era === 'legacy') return null
    const key = config.isolation === 'shared' ? '' : principal
    for (;;) {
      const known = this.#children.get(key)
      if (known !== undefined) {
        const child = await known
        if (child === null || !child.child.isEnding) return child
        // It just ended; its entry goes with it.
        if (this.#children.get(key) === known) this.#children.delete(key)
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
      if (this.#children.get(key) === starting) this.#children.delete(key)
    }
    starting.then((child) => (child === null ? forget() : void child.child.exited.then(forget)), forget)
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
      const is_modern = Array.isArray(versions) && versions.some(isModernVersion)
      return { is_modern, said, until_ms: Date.now() + SAID_TTL_MS }
    } catch {
      return { is_modern: false, said: null, until_ms: Date.now() + SILENT_TTL_MS }
    }
  }

  /**
   * Answers for a legacy server: its own words to server/discover, else that it does not serve this revision.
   * Both with a status and code from which clients conclude that they should `initialize`.
   */
  #answerAsLegacy({ exchange, text }: Posted, verdict: Verdict & { era: 'modern' }): void {
    const { id } = namesOf(text)
    const said = verdict.method === 'server/discover' ? this.#era?.said : null
    const error = said?.error as { code?: unknown; message?: unknown; data?: object } | undefined
    if (said?.result !== undefined)
      exchange.settle(`{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(said.result)}}`)
    else if (typeof error?.code === 'number')
      exchange.settle(
        errorText(id, error.code, String(error.message), error.data),
        error.code === RPC.methodNotFound ? 404 : 400,
      )
    else {
      const data = { supported: LEGACY_VERSIONS, requested: verdict.version }
      exchange.settle(
        errorText(id, RPC.versionUnsupported, 'the server speaks legacy revisions only', data),
        400,
      )
    }
  }
}
