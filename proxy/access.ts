/**
 * Puts together, from a config, who may come in at each listener and with which scopes. Keys of authorization servers are kept
 * over reloads: a changed config must not depend on a server that is away just then.
 */
import { knowsCallers, tokenIssuers } from '../config/access-check.ts'
import type { Issuer } from '../config/oauth.ts'
import type { Config } from '../config/schema.ts'
import type { Log } from '../event/log.ts'
import { makeFetchJson } from '../net/issuer-fetch.ts'
import type { Call } from './call.ts'
import { CertificateRing } from './identity/certificate.ts'
import { type Origin, resourceMetadata } from './identity/challenge.ts'
import { makeKeyRing } from './identity/identity.ts'
import { IssuerKeys } from './identity/issuer-keys.ts'
import { ScopePolicy } from './identity/scopes.ts'
import { TokenGate } from './identity/tokens.ts'
import type { Stage } from './pipeline.ts'
import { entitle } from './stages/entitle.ts'
import { identify } from './stages/identify.ts'
import type { Metrics } from './telemetry/metrics.ts'

export type AccessWiring = {
  /** The stage `identify` of each listener. */
  readonly identify: readonly Stage[]
  /** Absent when no scope is asked for calls. */
  readonly entitle: readonly Stage[]
  resourceMetadata(call: Call): Record<string, unknown> | null
}

export class Access {
  readonly #log: Log
  readonly #metrics: Metrics
  readonly #fetch = makeFetchJson()
  #keys = new Map<string, IssuerKeys>()

  constructor(log: Log, metrics: Metrics) {
    this.#log = log
    this.#metrics = metrics
  }

  wire(config: Config): AccessWiring {
    const { callers, teams, listen } = config
    const auth = { ...config.auth, oauth: tokenIssuers(config.auth) }
    const ring = { ...makeKeyRing(callers, teams), isOpen: !knowsCallers(config) }
    const certificates = new CertificateRing(callers, teams)
    const origins: Origin[] = listen.map(({ address, tls }) => ({
      public_url: auth.public_url,
      isTls: tls !== undefined,
      address,
    }))
    const known = certificates.size > 0 ? certificates : null
    if (auth.oauth.length === 0) {
      this.#keys.clear()
      const stage = identify(ring, null, known)
      return { identify: origins.map(() => stage), entitle: [], resourceMetadata: () => null }
    }
    const scopes = new ScopePolicy(auth)
    const before = this.#keys
    this.#keys = new Map()
    const gate = new TokenGate(
      { callers, teams, auth },
      scopes,
      (issuer) => this.#keysOf(issuer, before),
      (result) => this.#metrics.add('weir_tokens_total', 1, [result]),
    )
    return {
      identify: origins.map((origin) => identify(ring, { gate, scopes, origin }, known)),
      entitle: scopes.hasCalls ? [entitle(scopes, origins)] : [],
      resourceMetadata: ({ req, listener }) =>
        resourceMetadata(req.url ?? '/', req.headers.host, origins[listener]!, auth, scopes),
    }
  }

  #keysOf(issuer: Issuer, before: ReadonlyMap<string, IssuerKeys>): IssuerKeys {
    const { issuer: name, jwks_uri, private_network, keys: times } = issuer
    const source = { issuer: name, jwks_uri, private_network, keys: times }
    const id = JSON.stringify(source)
    const keys = before.get(id) ?? new IssuerKeys(source, this.#fetch, Date.now, this.#teller(name))
    this.#keys.set(id, keys)
    // The first caller need not wait; what is wrong is told before anybody calls.
    void keys.have()
    return keys
  }

  /** Tells the log when fetching begins to fail and when it works again, and counts each. */
  #teller(issuer: string): (error: Error | null) => void {
    let isFailing = false
    return (error) => {
      this.#metrics.add('weir_issuer_fetches_total', 1, [issuer, error ? 'failed' : 'done'])
      if (error && !isFailing)
        this.#log.error('the keys of an authorization server cannot be fetched', {
          issuer,
          why: error.message,
        })
      if (!error && isFailing)
        this.#log.info('the keys of an authorization server are there again', { issuer })
      isFailing = error !== null
    }
  }
}
