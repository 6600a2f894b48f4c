/**
 * The public keys of one authorization server: found by its metadata, kept, fetched again beside the calls when they are old and
 * when a token names an unknown one, at most once a cooldown. While the server is away the last ones count for a bounded time.
 * Invariant: after that time, and before a first answer, there are no keys. Source: RFC 7517, RFC 8414, OpenID Connect Discovery.
 */
import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import type { Issuer } from '../../config/oauth.ts'
import { type FetchJson, reachOf } from '../../net/issuer-fetch.ts'
import type { Reach } from '../../net/networks.ts'

const KEYS_MAX = 100
/** Without any keys nobody can come in: then the server is asked again after this long at the latest. */
const FIRST_COOLDOWN_MS = 5_000

export type KeySource = Pick<Issuer, 'issuer' | 'jwks_uri' | 'private_network' | 'keys'>
type Keys = { readonly lookUp: ReturnType<typeof createLocalJWKSet>; readonly text: string }

export class IssuerKeys {
  readonly #source: KeySource
  readonly #fetch: FetchJson
  readonly #now: () => number
  readonly #told: (error: Error | null) => void
  #keys: Keys | null = null
  #fetched_ms = Number.NEGATIVE_INFINITY
  #tried_ms = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | null = null
  /** Counts up when the keys have changed: what was verified before is to be verified again. */
  generation = 0

  /** `told`: hears how each fetch ended. */
  constructor(
    source: KeySource,
    fetch: FetchJson,
    now_ms: () => number,
    told: (error: Error | null) => void,
  ) {
    this.#source = source
    this.#fetch = fetch
    this.#now = now_ms
    this.#told = told
  }

  /** Whether there are keys that still count. Has old ones fetched again; never waits. */
  get isServing(): boolean {
    const { refresh_s, stale_max_s } = this.#source.keys
    const age_ms = this.#now() - this.#fetched_ms
    if (age_ms > refresh_s * 1000) this.#refresh()
    return this.#keys !== null && age_ms <= (refresh_s + stale_max_s) * 1000
  }

  /** The keys. Waits for a fetch only when there are none. Null: they cannot be had. */
  async have(): Promise<Keys['lookUp'] | null> {
    if (!this.isServing) await this.#refresh()
    return this.isServing ? this.#keys!.lookUp : null
  }

  /** A token named a key that is not there: fetches, unless that was done just now. Null: no newer keys. */
  async newer(): Promise<Keys['lookUp'] | null> {
    const before = this.generation
    await this.#refresh()
    return this.generation !== before && this.isServing ? this.#keys!.lookUp : null
  }

  #refresh(): Promise<void> {
    if (this.#fetching) return this.#fetching
    const now_ms = this.#now()
    // Also after a failure: who is away is not asked for every call.
    const cooldown_ms = this.#source.keys.cooldown_s * 1000
    const least_ms = this.#keys ? cooldown_ms : Math.min(cooldown_ms, FIRST_COOLDOWN_MS)
    if (now_ms - this.#tried_ms < least_ms) return Promise.resolve()
    this.#tried_ms = now_ms
    this.#fetching = this.#load()
      .then(
        (document) => {
          this.#take(document)
          this.#told(null)
        },
        (error: Error) => this.#told(error),
      )
      .finally(() => {
        this.#fetching = null
      })
    return this.#fetching
  }

  #take(document: JSONWebKeySet): void {
    this.#fetched_ms = this.#now()
    const text = JSON.stringify(document)
    if (this.#keys?.text === text) return
    this.#keys = { lookUp: createLocalJWKSet(document), text }
    this.generation++
  }

  async #load(): Promise<JSONWebKeySet> {
    const { issuer, jwks_uri, private_network, keys } = this.#source
    const reach = reachOf(jwks_uri ?? issuer, private_network)
    const url = jwks_uri ?? (await this.#discover(reach))
    const { keys: listed } = await this.#fetch(url, reach, keys.timeout_ms)
    if (!Array.isArray(listed)) throw new Error('its key set has no keys')
    if (listed.length > KEYS_MAX) throw new Error(`its key set has more than ${KEYS_MAX} keys`)
    // A shared secret in a public document is none.
    const usable = listed.filter((key) => typeof key === 'object' && key !== null && key.kty !== 'oct')
    return { keys: usable }
  }

  async #discover(reach: Reach): Promise<string> {
    const { issuer, keys } = this.#source
    let last: unknown
    for (const url of metadataUrls(issuer)) {
      try {
        const metadata = await this.#fetch(url, reach, keys.timeout_ms)
        if (metadata.issuer !== issuer) throw new Error('its metadata names another issuer')
        if (typeof metadata.jwks_uri !== 'string' || !URL.canParse(metadata.jwks_uri))
          throw new Error('its metadata has no jwks_uri')
        return metadata.jwks_uri
      } catch (error) {
        last = error
      }
    }
    throw last
  }
}

/** Where the metadata of an issuer may be, in the order they are asked (MCP authorization, server metadata discovery). */
export function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const oauth = `${origin}/.well-known/oauth-authorization-server${path}`
  const openId = `${origin}/.well-known/openid-configuration${path}`
  return path === '' ? [oauth, openId] : [oauth, openId, `${origin}${path}/.well-known/openid-configuration`]
}
