/**
 * The input schemas of a server's tools, for the check of `Mcp-Param-*` headers: its own tools/list, kept.
 * Only the first call waits for the list; later an old list is used while a new one is fetched, because a mismatch is
 * checked again against a fresh list before it counts. Without a list nothing is checked: the child judges the call itself.
 */
import { type Fault, paramsFault, type RequestHeaders, type RpcId } from '../mcp/ladder.ts'
import { META, MODERN_VERSION } from '../mcp/versions.ts'
import type { RpcMessage, Wire } from './wire.ts'

const FETCH_TIMEOUT_MS = 5000
/** A list is not fetched more often than this for ordinary calls, whatever ttl the server gives. */
const TTL_MIN_MS = 60_000
const PAGES_MAX = 50

/** What a modern server needs with every request. */
export const ENVELOPE = { [META.version]: MODERN_VERSION, [META.capabilities]: {} }

export class ToolSchemas {
  readonly #wire: Wire
  readonly #envelope: object
  #tools = new Map<string, unknown>()
  #fetched_ms = 0
  #fresh_until_ms = 0
  #fetching: Promise<void> | null = null

  /** `envelope`: metadata of the requests for the list. */
  constructor(wire: Wire, envelope: object) {
    this.#wire = wire
    this.#envelope = envelope
  }

  /** What is wrong with the `Mcp-Param-*` headers of a tools/call, null for nothing. */
  async fault(headers: RequestHeaders, message: RpcMessage): Promise<Fault | null> {
    const params = message.params as RpcMessage
    const { name } = params
    if (message.method !== 'tools/call' || typeof name !== 'string') return null
    const id = message.id as RpcId
    if (paramsFault(headers, params, await this.of(name), id) === null) return null
    return paramsFault(headers, params, await this.fresh(name), id)
  }

  /** The list changed. */
  invalidate(): void {
    this.#fresh_until_ms = 0
  }

  /** The input schema of a tool, undefined when it is not known. */
  async of(tool: string): Promise<unknown> {
    if (this.#fetched_ms === 0) await this.#fetch()
    else if (Date.now() >= this.#fresh_until_ms) void this.#fetch()
    return this.#tools.get(tool)
  }

  /** As `of`, from a list that was asked for after this call. */
  async fresh(tool: string): Promise<unknown> {
    await this.#fetching
    await this.#fetch()
    return this.#tools.get(tool)
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#readAll().finally(() => {
      this.#fetching = null
      this.#fetched_ms = Date.now()
    })
    return this.#fetching
  }

  async #readAll(): Promise<void> {
    const tools = new Map<string, unknown>()
    let ttl_ms = TTL_MIN_MS
    let cursor: string | undefined
    try {
      for (let page = 0; page < PAGES_MAX; page++) {
        const params = { ...(cursor !== undefined && { cursor }), _meta: this.#envelope }
        const { result } = (await this.#wire.ask('tools/list', params, FETCH_TIMEOUT_MS)) as {
          result?: RpcMessage
        }
        if (!Array.isArray(result?.tools)) break
        for (const tool of result.tools)
          if (typeof tool?.name === 'string') tools.set(tool.name, tool.inputSchema)
        if (typeof result.ttlMs === 'number') ttl_ms = Math.max(ttl_ms, result.ttlMs)
        const next = result.nextCursor
        if (typeof next !== 'string' || next === cursor) break
        cursor = next
      }
    } catch {
      // The child is slow, ended, or has no tools: there is nothing to compare with.
    }
    this.#tools = tools
    this.#fresh_until_ms = Date.now() + ttl_ms
  }
}
