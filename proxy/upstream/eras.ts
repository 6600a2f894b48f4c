/**
 * Which eras a streamable HTTP server speaks, found out when it matters and remembered for a while: `server/discover` tells
 * whether it is modern, and its refusal of an `initialize` that it is nothing else. A legacy client's `initialize` is never
 * held up by a question. What says nothing about eras (credentials refused, 5xx, no answer) is not remembered.
 * Source: MCP 2026-07-28, basic/lifecycle (compatibility).
 */
import { speaksModern } from '../mcp/versions.ts'
import type { Asked } from './ask.ts'
import { discover } from './discover.ts'
import type { Upstream } from './upstream.ts'

/** `isLegacy`: false only when it was seen to refuse. */
export type Eras = { readonly isModern: boolean; readonly isLegacy: boolean }

/** A verdict that nobody contradicts would never correct itself. */
const TTL_MS = 600_000
const UNKNOWN_TTL_MS = 2_000
const PROBE_MAX_MS = 5_000

export class EraProbe {
  readonly #upstream: Upstream
  #known: Eras | null = null
  #until_ms = 0
  #probing: Promise<Eras | null> | null = null

  constructor(upstream: Upstream) {
    this.#upstream = upstream
    const { era } = upstream.config
    if (era === 'auto') return
    this.#known = { isModern: era === 'modern', isLegacy: era === 'legacy' }
    this.#until_ms = Number.POSITIVE_INFINITY
  }

  /** What is known without asking. */
  get known(): Eras | null {
    return Date.now() < this.#until_ms ? this.#known : null
  }

  /** The server refused an `initialize`. Resolves with what that makes of it. */
  async refused(): Promise<Eras | null> {
    const eras = await this.of()
    if (eras?.isModern && eras.isLegacy) this.#known = { isModern: true, isLegacy: false }
    return this.#known
  }

  /** What is known, null when the server could not be asked. A stale verdict serves while it is renewed. */
  of(): Eras | null | Promise<Eras | null> {
    if (Date.now() < this.#until_ms) return this.#known
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = null
    })
    return this.#known ?? this.#probing
  }

  async #probe(): Promise<Eras | null> {
    const eras = await this.#find().catch(() => null)
    if (eras) this.#known = eras
    this.#until_ms = Date.now() + (eras ? TTL_MS : UNKNOWN_TTL_MS)
    return this.#known
  }

  async #find(): Promise<Eras | null> {
    const timeout_ms = Math.min(PROBE_MAX_MS, this.#upstream.config.timeout_ms)
    // Asked straight, not by the host: for nobody in particular.
    const discovered = await discover(this.#upstream, '', timeout_ms)
    if (isNoEvidence(discovered)) return null
    const { result, error } = discovered.message ?? {}
    const said = result ?? (error as { data?: unknown } | undefined)?.data
    const { supportedVersions, supported } = (said ?? {}) as {
      supportedVersions?: unknown
      supported?: unknown
    }
    const versions = supportedVersions ?? supported
    return { isModern: speaksModern(versions), isLegacy: true }
  }
}

const isNoEvidence = ({ status }: Asked): boolean => status === 401 || status === 403 || status >= 500
