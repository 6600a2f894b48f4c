/**
 * /healthz, /readyz and /metrics of the proxy. They tell the truth: servers are asked when nothing was heard of them
 * lately, spool and store are asked of the supervisor. Names and figures only for trusted peers.
 */
import { askSupervisor } from '../supervisor/link.ts'
import { asWeirError } from './errors.ts'
import { memberHeaders } from './roof/session.ts'
import { renderPrometheus, type Snapshot } from './telemetry/metrics.ts'
import { ask } from './upstream/ask.ts'
import type { Upstream } from './upstream/upstream.ts'

type Page = { status: number; type: string; body: string }
/** What the supervisor knows: each part's state in a word, and whether calls can be served and recorded. */
export type Readiness = {
  parts: Record<string, { ok: boolean; detail: string }>
  /** Hosted stdio servers, as their host knows them. */
  servers: Record<string, { ok: boolean; detail: string }>
  isReady: boolean
}

const FRESH_MS = 5_000
const PROBE_MS = 2_000
const JSON_TYPE = 'application/json'

const page = (status: number, body: unknown): Page => ({
  status,
  type: JSON_TYPE,
  body: `${JSON.stringify(body)}\n`,
})

/** Whether a server can be reached; any answer of it counts. Asked at most once per FRESH_MS. */
async function probe(upstream: Upstream): Promise<void> {
  if (Date.now() - upstream.health.at_ms < FRESH_MS) return
  try {
    const body = '{"jsonrpc":"2.0","id":"weir-probe","method":"ping"}'
    await ask(upstream, memberHeaders(upstream, 'weir-probe', null), body, PROBE_MS)
  } catch (error) {
    upstream.saw(false, asWeirError(error).detail || asWeirError(error).code)
  }
}

export function plainPages(
  upstreams: ReadonlyMap<string, Upstream>,
  isDraining: () => boolean,
): (path: string, isTrusted: boolean) => Promise<Page> | null {
  const ready = async (isTrusted: boolean): Promise<Page> => {
    const [known] = await Promise.all([
      askSupervisor('ready', undefined, 3000).catch(
        (error: Error): Readiness => ({
          parts: { supervisor: { ok: false, detail: error.message } },
          servers: {},
          isReady: false,
        }),
      ),
      ...[...upstreams.values()].filter((u) => !u.isHosted).map(probe),
    ])
    const { parts, servers: hosted, isReady } = known as Readiness
    const servers = Object.fromEntries(
      [...upstreams.values()].map((u) => [
        u.name,
        hosted[u.name] ?? { ok: u.health.isUp, detail: u.health.reason },
      ]),
    )
    const down = Object.values(servers).filter((s) => !s.ok).length
    const isServing = isReady && !isDraining() && (down < upstreams.size || upstreams.size === 0)
    const isWhole = isServing && down === 0 && Object.values(parts).every((p) => p.ok)
    const status = !isServing ? 'unready' : isWhole ? 'ready' : 'degraded'
    return page(
      isServing ? 200 : 503,
      isTrusted ? { status, draining: isDraining(), servers, ...parts } : { status },
    )
  }
  return (path, isTrusted) => {
    switch (path) {
      case '/healthz':
        return Promise.resolve(page(200, { status: 'alive' }))
      case '/readyz':
        return ready(isTrusted)
      case '/metrics':
        if (!isTrusted)
          return Promise.resolve(
            page(401, {
              error: {
                code: 'unauthenticated',
                message: 'Metrics are for loopback peers, or callers with a key',
                fix: 'Send Authorization: Bearer <key>',
              },
            }),
          )
        return askSupervisor('metrics').then((snapshot) => ({
          status: 200,
          type: 'text/plain; version=0.0.4; charset=utf-8',
          body: renderPrometheus(snapshot as Snapshot),
        }))
      default:
        return null
    }
  }
}
