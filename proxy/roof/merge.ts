/**
 * Merged answers: one question to several servers at once, each with its own deadline, and what became of each noted.
 * A server that fails is missed, not fatal: the rest is served. Source: mcp.md section 8.
 */
import type { Attempt } from '../../event/attempt.ts'
import type { Call, Message } from '../call.ts'
import type { Listing } from '../catalogue.ts'
import { asWeirError, WeirError } from '../errors.ts'
import { nowUs } from '../telemetry/clock.ts'
import { newSpanId } from '../telemetry/random.ts'
import { traceparent } from '../telemetry/trace.ts'
import type { Asked } from '../upstream/ask.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Names, Resources } from './names.ts'
import type { Missed } from './session.ts'

/** Own key in `_meta`: which servers a merged answer had to do without. */
export const MISSED_KEY = 'dev.weir/missed'

export type Heard = { server: string; result: Record<string, unknown> }

/** Asks every server, notes every attempt on the call, and returns what was heard. Throws when nothing was. */
export async function askAll(
  call: Call,
  upstreams: readonly Upstream[],
  question: (upstream: Upstream, parent: string) => Promise<Asked>,
): Promise<{ heard: Heard[]; missed: Missed[] }> {
  const started_us = nowUs()
  call.forwarded_us = call.sent_us = started_us
  const heard: Heard[] = []
  const missed: Missed[] = []
  const tried = await Promise.all(
    upstreams.map(async (upstream): Promise<Attempt | null> => {
      const span_id = newSpanId()
      const start_us = nowUs()
      const attempt = (outcome: string, error_type: string): Attempt => ({
        server: upstream.name,
        endpoint: upstream.endpoint,
        transport: upstream.transport,
        span_id,
        start_us: Math.round(start_us - call.received_us),
        duration_us: Math.round(nowUs() - start_us),
        outcome,
        error_type,
      })
      try {
        const asked = await question(upstream, traceparent(call, span_id))
        const message = asked.message
        if (!asked.isUnsent) call.first_byte_us ||= nowUs()
        if (message?.result && typeof message.result === 'object') {
          heard.push({ server: upstream.name, result: message.result as Record<string, unknown> })
          return asked.isUnsent ? null : attempt('ok', '')
        }
        if (asked.isUnsent) return null
        const given = (message?.error as { code?: unknown } | undefined)?.code
        const code = given === undefined || Number.isSafeInteger(given) ? given : 'unreadable'
        // A server without this kind of thing has nothing to add; that is no miss.
        if (code === -32601) return attempt('rpc_error', '-32601')
        missed.push({
          server: upstream.name,
          reason: code === undefined ? `HTTP ${asked.status}` : `error ${code}`,
        })
        return attempt(code === undefined ? 'upstream_error' : 'rpc_error', String(code ?? asked.status))
      } catch (error) {
        const { code } = asWeirError(error)
        missed.push({ server: upstream.name, reason: code })
        return attempt(asWeirError(error).spec.outcome, code)
      }
    }),
  )
  const attempts = tried.filter((a) => a !== null)
  call.last_byte_us = nowUs()
  call.attempts = attempts.length
  if (attempts.length === 1) {
    const [only] = attempts
    call.client_span_id = only!.span_id
    call.upstream_endpoint = only!.endpoint
    call.upstream_transport = only!.transport
  } else if (attempts.length > 1) call.upstream_attempts = attempts
  const order = new Map(upstreams.map((u, i) => [u.name, i]))
  missed.sort((a, b) => order.get(a.server)! - order.get(b.server)!)
  call.missed_servers = missed.map((m) => m.server)
  if (heard.length === 0 && missed.length > 0)
    throw new WeirError('upstream_unavailable', missed.map((m) => `${m.server}: ${m.reason}`).join(', '), {
      data: { missed },
    })
  heard.sort((a, b) => order.get(a.server)! - order.get(b.server)!)
  return { heard, missed }
}

export const missedMeta = (missed: readonly Missed[]): Record<string, unknown> =>
  missed.length > 0 ? { _meta: { [MISSED_KEY]: missed } } : {}

/** What a server that is missed now may have later. */
export const LATER = { tools: {}, prompts: {}, resources: {} }

/** Capabilities of the roof: whatever any server has. */
export function mergeCapabilities(all: readonly Record<string, unknown>[]): Record<string, unknown> {
  // Without prototypes: the names come from servers, and `__proto__` is one.
  const bare = (): Record<string, unknown> => Object.create(null)
  const merged = bare() as Record<string, Record<string, unknown>>
  for (const capabilities of all)
    for (const [name, value] of Object.entries(capabilities)) {
      // Tasks cannot be told apart by server, and experiments cannot be merged without knowing them.
      if (name === 'tasks' || name === 'experimental' || typeof value !== 'object' || value === null) continue
      const into = (merged[name] ??= bare())
      for (const [key, flag] of Object.entries(value)) into[key] = into[key] === true ? true : flag
    }
  return merged
}

/** Instructions of all servers, each under its name; '' when none has any. */
export const mergeInstructions = (all: readonly { server: string; instructions: string }[]): string =>
  all
    .filter((one) => one.instructions)
    .map((one) => `## ${one.server}\n\n${one.instructions}`)
    .join('\n\n')

type Entry = { [key: string]: unknown; name?: unknown; uri?: unknown; uriTemplate?: unknown }

/** Which member of the result holds the entries, by list method. */
export const LISTS: ReadonlyMap<string, string> = new Map([
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resourceTemplates'],
])

/** Capability a server must have announced to be asked for a list. */
export const LIST_CAPABILITY: ReadonlyMap<string, string> = new Map([
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resources'],
])

/** The entries of all servers under their exposed names, in the order of the config. */
export function mergeEntries(
  method: string,
  heard: readonly Heard[],
  names: Names,
  resources: Resources,
): Entry[] {
  const key = LISTS.get(method)!
  const merged: Entry[] = []
  for (const { server, result } of heard) {
    const entries = result[key]
    if (!Array.isArray(entries)) continue
    for (const entry of entries as Entry[]) {
      if (typeof entry !== 'object' || entry === null) continue
      switch (key) {
        case 'tools':
        case 'prompts':
          if (typeof entry.name === 'string')
            merged.push({ ...entry, name: names.expose(server, entry.name) })
          break
        case 'resources':
          if (typeof entry.uri === 'string' && resources.claim(entry.uri, server)) merged.push(entry)
          break
        default:
          if (typeof entry.uriTemplate === 'string') resources.claimTemplate(entry.uriTemplate, server)
          merged.push(entry)
      }
    }
  }
  return merged
}

/** What a merged `tools/list` holds, as its servers gave it. */
export const listingOf = (heard: readonly Heard[], names: Names): Listing => ({
  servers: heard.map(({ server }) => server),
  entries: heard.flatMap(({ server, result: { tools } }) =>
    (Array.isArray(tools) ? tools : []).flatMap((tool: Entry | null) =>
      typeof tool?.name === 'string' ? [{ server, listed: names.expose(server, tool.name), tool }] : [],
    ),
  ),
})

/** Cursors of the servers that have more; a server that repeats its cursor would never end and is taken as done. */
export function nextPositions(
  heard: readonly Heard[],
  asked: Readonly<Record<string, string>> | null,
): Record<string, string> | null {
  const next: Record<string, string> = {}
  for (const { server, result } of heard)
    if (typeof result.nextCursor === 'string' && result.nextCursor !== asked?.[server])
      next[server] = result.nextCursor
  return Object.keys(next).length > 0 ? next : null
}

/** params of a list request for one server: the client's own, with that server's cursor and our trace context. */
export function listParams(
  message: Message,
  cursor: string | undefined,
  parent: string,
): Record<string, unknown> {
  const { cursor: _aggregate, ...params } = (message.params ?? {}) as Record<string, unknown>
  return {
    ...params,
    ...(cursor === undefined ? {} : { cursor }),
    _meta: { ...(params._meta as object | undefined), traceparent: parent },
  }
}

/** Whether a legacy method is answered by the roof itself, so that limits count it there. */
export const countsAtRoof = ({ method }: { method: string }): boolean =>
  LISTS.has(method) || method === 'ping' || method === 'logging/setLevel'
