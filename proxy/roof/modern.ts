/**
 * The roof towards modern clients (2026-07-28): no sessions, every request stands alone. Every server takes part, a legacy
 * one by way of the bridge.
 */
import type { Call, Message } from '../call.ts'
import { WeirError } from '../errors.ts'
import { climb, faultText, isFault } from '../mcp/ladder.ts'
import { encodeHeaderValue } from '../mcp/param-headers.ts'
import { withTraceparent } from '../mcp/propagate.ts'
import { setValue } from '../mcp/splice.ts'
import { LEGACY_VERSIONS, META, MODERN_VERSIONS, speaksModern, WEIR_INFO } from '../mcp/versions.ts'
import { nowUs } from '../telemetry/clock.ts'
import { newSpanId } from '../telemetry/random.ts'
import { traceparent } from '../telemetry/trace.ts'
import { type Asked, ask } from '../upstream/ask.ts'
import { discover, modernHeaders } from '../upstream/discover.ts'
import { Relay } from '../upstream/relay.ts'
import type { RelayHooks } from '../upstream/relay-surroundings.ts'
import { forwardedHeaders, type Upstream } from '../upstream/upstream.ts'
import { openCursor, sealCursor } from './cursor.ts'
import { type Listening, openRoofListen } from './listen.ts'
import {
  askAll,
  LIST_CAPABILITY,
  LISTS,
  listingOf,
  listParams,
  mergeCapabilities,
  mergeEntries,
  mergeInstructions,
  missedMeta,
  nextPositions,
} from './merge.ts'
import type { Names, Resources } from './names.ts'
import { mustReach, noResource, ownerFor, reachable, shownTo } from './reach.ts'
import type { RoofSurroundings } from './surroundings.ts'

const TO_ONE_SERVER = new Set(['tools/call', 'prompts/get', 'resources/read', 'completion/complete'])
const METHODS = new Set(['server/discover', ...TO_ONE_SERVER, 'subscriptions/listen', ...LISTS.keys()])
/** A verdict on a server's era expires: a stale one would never correct itself. */
const DISCOVERY_MS = 60_000

/** Most pages of one list that are read to find a name. */
const LEARN_PAGES_MAX = 50
/** Most resources that one listen stream may name. */
const SUBSCRIPTIONS_MAX = 1000

const AS_IT_IS: RelayHooks = { filter: null, sessionId: null, message: null, result: null, takenBack: null }

type Discovery = { at_ms: number; result: Record<string, unknown> }

export class ModernRoof {
  readonly #upstreams: ReadonlyMap<string, Upstream>
  readonly #names: Names
  readonly #resources: Resources
  readonly #env: RoofSurroundings
  readonly #discoveries = new Map<string, Discovery>()

  constructor(
    upstreams: ReadonlyMap<string, Upstream>,
    names: Names,
    resources: Resources,
    env: RoofSurroundings,
  ) {
    this.#upstreams = upstreams
    this.#names = names
    this.#resources = resources
    this.#env = env
  }

  async forward(call: Call): Promise<void> {
    const verdict = climb({
      http_method: 'POST',
      headers: call.req.headers,
      body: call.message,
      is_json: true,
      supported: MODERN_VERSIONS,
      methods: METHODS,
    })
    if (isFault(verdict)) {
      call.fail('invalid', 'client', String(verdict.code), verdict.message, verdict.code)
      const text = faultText({ ...verdict, id: null })
      return this.#env.server.answer(call, verdict.http_status, setValue(text, ['id'], call.id ?? 'null'))
    }
    call.era = 'modern'
    if (call.kind === 'notification') return this.#env.server.answer(call, 202, '')
    if (!TO_ONE_SERVER.has(call.method)) await this.#env.passRoof(call)
    if (call.method === 'server/discover') return this.#discover(call)
    if (LISTS.has(call.method)) return this.#list(call)
    if (call.method === 'subscriptions/listen') return this.#listen(call)
    if (call.method === 'tools/call' || call.method === 'prompts/get') {
      await this.#learnFor(
        call,
        call.exposed_name,
        call.method === 'tools/call' ? 'tools/list' : 'prompts/list',
      )
      const owned = this.#names.resolve(call.exposed_name)
      call.tool = ''
      if (!owned)
        throw new WeirError(
          call.method === 'tools/call' ? 'tool_unknown' : 'prompt_unknown',
          call.exposed_name.slice(0, 100),
        )
      return this.#relay(call, owned.server, ['params', 'name'], owned.name)
    }
    if (call.method === 'resources/read')
      return this.#relay(call, await this.#resourceOwner(call, call.message!.params?.uri), null, '')
    const ref = call.message!.params?.ref as { type?: unknown; name?: unknown; uri?: unknown } | undefined
    if (ref?.type === 'ref/prompt' && typeof ref.name === 'string') {
      call.exposed_name = ref.name
      await this.#learnFor(call, ref.name, 'prompts/list')
      const owned = this.#names.resolve(ref.name)
      if (!owned) throw new WeirError('prompt_unknown', ref.name.slice(0, 100))
      return this.#relay(call, owned.server, ['params', 'ref', 'name'], owned.name)
    }
    if (ref?.type === 'ref/resource')
      return this.#relay(call, await this.#resourceOwner(call, ref.uri), null, '')
    throw new WeirError('params_invalid', 'ref is neither ref/prompt nor ref/resource')
  }

  /** What a server says of itself. Rejects when it cannot be reached, or speaks no era we know. */
  async #discovery(upstream: Upstream, caller: string): Promise<Record<string, unknown>> {
    const known = this.#discoveries.get(upstream.name)
    if (known && Date.now() - known.at_ms < DISCOVERY_MS) return known.result
    const asked = await discover(await upstream.modernWay(), caller, upstream.config.list_timeout_ms)
    if (asked.status === 401 || asked.status === 403)
      throw new WeirError('upstream_auth', `HTTP ${asked.status}`)
    if (asked.status >= 500) throw new WeirError('upstream_unavailable', `HTTP ${asked.status}`)
    const result = asked.message?.result as Record<string, unknown> | undefined
    if (!result || !speaksModern(result.supportedVersions))
      throw new WeirError('upstream_protocol', 'server/discover was not answered')
    this.#discoveries.set(upstream.name, { at_ms: Date.now(), result })
    return result
  }

  async #discover(call: Call): Promise<void> {
    const { heard, missed } = await askAll(
      call,
      reachable(this.#env, call, this.#upstreams),
      async (upstream): Promise<Asked> => {
        const result = await this.#discovery(upstream, call.identity!.caller)
        return { status: 200, headers: {}, message: { result } }
      },
    )
    const modern = heard.map(
      (h) => ({ server: h.server, ...h.result }) as Record<string, unknown> & { server: string },
    )
    const capabilities = mergeCapabilities(
      modern.map((m) => (m.capabilities as Record<string, unknown>) ?? {}),
    )
    const instructions = mergeInstructions(
      modern.map((m) => ({
        server: m.server,
        instructions: typeof m.instructions === 'string' ? m.instructions : '',
      })),
    )
    this.#answer(call, {
      supportedVersions: [...MODERN_VERSIONS, ...LEGACY_VERSIONS],
      capabilities,
      ...(instructions ? { instructions } : {}),
      ...cacheHints(modern),
      ...missedMeta(missed),
    })
  }

  async #list(call: Call): Promise<void> {
    const { message, method, identity } = call
    const caller = identity!.caller
    const cursor = message!.params?.cursor
    const positions = cursor === undefined ? null : openCursor(this.#env.cursorKey, caller, method, cursor)
    const capability = LIST_CAPABILITY.get(method)!
    const asked = reachable(this.#env, call, this.#upstreams).filter(
      (u) => positions === null || positions[u.name] !== undefined,
    )
    const { heard: all_heard, missed } = await askAll(call, asked, async (upstream, parent) => {
      const discovery = await this.#discovery(upstream, caller)
      const said = discovery._meta as Record<string, unknown> | undefined
      this.#env.catalogue.introduced(upstream.name, said?.[META.serverInfo])
      if (!(capability in ((discovery.capabilities as object) ?? {})))
        return { status: 200, headers: {}, message: null, isUnsent: true }
      const body = JSON.stringify({
        jsonrpc: '2.0',
        id: 'weir-list',
        method,
        params: listParams(message as Message, positions?.[upstream.name], parent),
      })
      const way = await upstream.modernWay()
      const answer = await ask(
        way,
        [...modernHeaders(way, caller, method), 'traceparent', parent],
        body,
        upstream.config.list_timeout_ms,
      )
      if (method === 'tools/list')
        this.#env.definitions.listed(call, upstream.name, call.protocol_version, answer.message)
      return answer
    })
    const heard = shownTo(this.#env, call, all_heard)
    const entries = mergeEntries(method, heard, this.#names, this.#resources)
    const next = nextPositions(heard, positions)
    call.list_items = entries.length
    const body = this.#body(call, {
      [LISTS.get(method)!]: entries,
      ...(next ? { nextCursor: sealCursor(this.#env.cursorKey, caller, method, next) } : {}),
      ...cacheHints(heard.map((h) => h.result)),
      ...missedMeta(missed),
    })
    if (method === 'tools/list') this.#env.catalogue.listed(call, body, () => listingOf(heard, this.#names))
    this.#env.server.answer(call, 200, body)
  }

  /** The filter is shared out: changes of lists to every server, resources to whoever has them. */
  async #listen(call: Call): Promise<void> {
    const wanted = call.message!.params?.notifications
    if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted))
      throw new WeirError('params_invalid', 'notifications is not an object')
    const { resourceSubscriptions, ...changes } = wanted as Record<string, unknown>
    const uris = Array.isArray(resourceSubscriptions) ? resourceSubscriptions : []
    const owners = await Promise.all(
      uris.slice(0, SUBSCRIPTIONS_MAX).map((uri) => this.#resourceOwner(call, uri).catch(() => null)),
    )
    const servers: Listening[] = []
    const ways = reachable(this.#env, call, this.#upstreams).map(async (upstream) => {
      const own = uris.filter((_uri, i) => owners[i] === upstream.name)
      const filter = own.length > 0 ? { ...changes, resourceSubscriptions: own } : changes
      if (Object.keys(filter).length === 0) return
      const way = await upstream.modernWay()
      servers.push({ upstream: way, headers: modernHeaders(way, call.identity!.caller, call.method), filter })
    })
    await Promise.allSettled(ways)
    if (call.res.destroyed) throw new WeirError('client_gone')
    const timeouts = servers.map(({ upstream }) => upstream.config.list_timeout_ms)
    openRoofListen(call, servers, Math.max(0, ...timeouts), this.#env)
  }

  /** A name that looks cut and was not listed by this worker: the lists of the servers it may belong to are read first. */
  async #learnFor(call: Call, exposed: string, method: string): Promise<void> {
    const caller = call.identity!.caller
    const servers = this.#names.toLearn(exposed, method, Date.now(), this.#env.gate !== null)
    if (servers.length === 0) return
    await Promise.allSettled(
      servers.map(async (server) => {
        const upstream = this.#upstreams.get(server)
        if (!upstream) return
        let cursor: string | undefined
        for (let page = 0; page < LEARN_PAGES_MAX; page++) {
          const params = { ...(cursor === undefined ? {} : { cursor }), _meta: call.message!.params?._meta }
          const way = await upstream.modernWay()
          const asked = await ask(
            way,
            modernHeaders(way, caller, method),
            JSON.stringify({ jsonrpc: '2.0', id: 'weir-list', method, params }),
            upstream.config.list_timeout_ms,
          )
          const result = asked.message?.result as Record<string, unknown> | undefined
          if (!result) return
          mergeEntries(method, [{ server, result }], this.#names, this.#resources)
          if (typeof result.nextCursor !== 'string' || result.nextCursor === cursor) return
          cursor = result.nextCursor
        }
      }),
    )
  }

  async #resourceOwner(call: Call, uri: unknown): Promise<string> {
    if (typeof uri !== 'string' || uri.length > 8192)
      throw new WeirError('params_invalid', 'uri is not a text')
    const known = ownerFor(this.#env, call, this.#resources.owner(uri), uri)
    if (known && this.#upstreams.has(known)) return known
    const caller = call.identity!.caller
    const meta = call.message!.params?._meta
    await Promise.allSettled(
      reachable(this.#env, call, this.#upstreams).flatMap((upstream) =>
        ['resources/list', 'resources/templates/list'].map(async (method) => {
          const way = await upstream.modernWay()
          const asked = await ask(
            way,
            modernHeaders(way, caller, method),
            JSON.stringify({ jsonrpc: '2.0', id: 'weir-list', method, params: { _meta: meta } }),
            upstream.config.list_timeout_ms,
          )
          const result = asked.message?.result as Record<string, unknown> | undefined
          if (result) mergeEntries(method, [{ server: upstream.name, result }], this.#names, this.#resources)
        }),
      ),
    )
    const found = this.#resources.owner(uri)
    const owner = ownerFor(this.#env, call, found, uri)
    if (!owner) throw noResource(this.#env, call, found, uri)
    return owner
  }

  async #relay(call: Call, server: string, namePath: readonly string[] | null, name: string): Promise<void> {
    const meant = this.#upstreams.get(server)
    if (!meant) throw new WeirError('tool_unknown')
    mustReach(this.#env, call, server)
    const upstream = await meant.modernWay()
    call.server = server
    call.way = upstream
    call.tool = name
    call.upstream_transport = upstream.transport
    call.upstream_endpoint = upstream.endpoint
    call.upstream_protocol_version = call.protocol_version
    await this.#env.passTarget(call)
    if (call.res.destroyed) throw new WeirError('client_gone')
    call.attempts = 1
    call.client_span_id = newSpanId()
    const parent = traceparent(call, call.client_span_id)
    const headers = forwardedHeaders(upstream, call.req.rawHeaders, call.identity!.caller)
    if (namePath?.length === 2) {
      const at = headers.findIndex((h, i) => i % 2 === 0 && h === 'mcp-name')
      if (at >= 0) headers[at + 1] = encodeHeaderValue(name)
    }
    headers.push('traceparent', parent)
    if (call.tracestate) headers.push('tracestate', call.tracestate)
    const text = namePath ? setValue(call.text, namePath, JSON.stringify(name)) : call.text
    call.forwarded_us = nowUs()
    upstream.send(
      'POST',
      headers,
      Buffer.from(withTraceparent(text, call.message!, parent, call.tracestate)),
      new Relay(call, upstream, this.#env, this.#env.judged(call, AS_IT_IS)),
    )
  }

  #answer(call: Call, result: Record<string, unknown>): void {
    this.#env.server.answer(call, 200, this.#body(call, result))
  }

  #body(call: Call, result: Record<string, unknown>): string {
    const meta = { ...(result._meta as object | undefined), [META.serverInfo]: WEIR_INFO }
    const body = `{"jsonrpc":"2.0","id":${call.id},"result":${JSON.stringify({ resultType: 'complete', ...result, _meta: meta })}}`
    call.text_bytes_out = body.length
    return body
  }
}

/** A merged answer may be kept as long as its shortest-lived part, and is private if any part is. */
function cacheHints(results: readonly Record<string, unknown>[]): Record<string, unknown> {
  const ttls = results.map((r) => (typeof r.ttlMs === 'number' && r.ttlMs >= 0 ? r.ttlMs : 0))
  const isPrivate = results.length === 0 || results.some((r) => r.cacheScope !== 'public')
  return { ttlMs: ttls.length > 0 ? Math.min(...ttls) : 0, cacheScope: isPrivate ? 'private' : 'public' }
}
