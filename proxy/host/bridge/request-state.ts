/**
 * The `requestState` that a modern client carries from a question to its answer: which waiting call it belongs to, sealed.
 * Whoever holds it can only go on with the same call as the same principal, once, until it expires.
 * Source: MCP 2026-07-28, multi round-trip requests (security).
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { canonical } from '../../mcp/json.ts'

export type State = {
  /** The waiting call, 0 for one that is simply made again. */
  readonly call: number
  /** Which of its rounds of questions. */
  readonly round: number
  readonly expires_ms: number
}

const MAC_BYTES = 16

/** Digest of what a retry must repeat: the method and its params but for metadata and the answers. */
export function digestOf(method: string, params: Readonly<Record<string, unknown>>): string {
  const { _meta, inputResponses, requestState, ...rest } = params
  return createHash('sha256')
    .update(JSON.stringify([method, canonical(rest)]))
    .digest('base64url')
}

export class StateSeal {
  // Waiting calls do not outlive the process, so its key need not either.
  readonly #key = randomBytes(32)

  seal(state: State, server: string, principal: string, digest: string): string {
    const payload = `${state.call}.${state.round}.${state.expires_ms}`
    return `${payload}.${this.#mac(payload, server, principal, digest)}`
  }

  /** Null when it is not ours, not for this principal and request, or expired. */
  open(text: unknown, server: string, principal: string, digest: string, now_ms: number): State | null {
    const parts = typeof text === 'string' ? /^((\d+)\.(\d+)\.(\d+))\.([\w-]{1,64})$/.exec(text) : null
    if (!parts) return null
    const [, payload, call, round, expires_ms, mac] = parts
    const given = Buffer.from(mac!)
    const wanted = Buffer.from(this.#mac(payload!, server, principal, digest))
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return null
    const state = { call: Number(call), round: Number(round), expires_ms: Number(expires_ms) }
    return state.expires_ms > now_ms ? state : null
  }

  #mac(payload: string, server: string, principal: string, digest: string): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([payload, server, principal, digest]))
      .digest()
      .subarray(0, MAC_BYTES)
      .toString('base64url')
  }
}
