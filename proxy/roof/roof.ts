/**
 * /mcp: all servers under one roof. This file tells messages apart and sends each to whom it concerns; merging,
 * sessions and the modern era have rooms of their own. Legacy sessions have an owner: the worker that holds their streams.
 */
import type { Config } from '../../config/schema.ts'
import type { Call, Endpoint } from '../call.ts'
import { asWeirError, WeirError } from '../errors.ts'
import type { Session } from '../identity/session-id.ts'
import { saysSessionLost } from '../mcp/answer.ts'
import { legacyEntries } from '../mcp/downgrade.ts'
import { withTraceparent } from '../mcp/propagate.ts'
import { setValue } from '../mcp/splice.ts'
import { LEGACY_VERSION, LEGACY_VERSIONS, MODERN_VERSION, WEIR_INFO } from '../mcp/versions.ts'
import type { Route } from '../serve.ts'
import { openSession } from '../stages/understand.ts'
import { nowUs } from '../telemetry/clock.ts'
import { startSession } from '../telemetry/clues.ts'
import { newSpanId } from '../telemetry/random.ts'
import { traceparent } from '../telemetry/trace.ts'
import { ask } from '../upstream/ask.ts'
import { Relay } from '../upstream/relay.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { openCursor, sealCursor } from './cursor.ts'
import { type Learned, learn, resourceOwner } from './find.ts'
import {
  askAll,
  countsAtRoof,
  LATER,
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
import { ModernRoof } from './modern.ts'
import { Names, type Owned, Resources } from './names.ts'
import { olderAnswer } from './older.ts'
import { mustReach, reachable, reaches, shownTo } from './reach.ts'
import {
  answeredQuestion,
  capabilitiesText,
  introductionOf,
  type Member,
  memberHeaders,
  RoofSession,
} from './session.ts'
import { fromServer, openRoofStream } from './stream.ts'
import type { RoofSurroundings } from './surroundings.ts'

export class Roof implements Route {
  readonly endpoint: Endpoint = { path: '/mcp', server: '' }
  readonly #upstreams: ReadonlyMap<string, Upstream>
  readonly #names: Names
  readonly #resources = new Resources()
  readonly #learned: Learned
  readonly #env: RoofSurroundings
  readonly #modern: ModernRoof

  constructor(config: Config, upstreams: ReadonlyMap<string, Upstream>, env: RoofSurroundings) {
    this.#upstreams = upstreams
    this.#env = env
    this.#names = new Names([...upstreams.keys()], config.roof.separator, config.roof.name_max)
    this.#learned = { names: this.#names, resources: this.#resources }
    this.#modern = new ModernRoof(upstreams, this.#names, this.#resources, env)
  }

  async forward(call: Call): Promise<void> {
    if (
      call.era === 'modern' ||
      call.method === 'server/discover' ||
      String(call.req.headers['mcp-protocol-version'] ?? '') >= MODERN_VERSION
    )
      return this.#modern.forward(call)
    if (call.method === 'initialize' && call.kind === 'request') return this.#initialize(call)
    const roof = await this.#openSession(call)
    if (!roof) return
    if (call.kind === 'notification') return this.#notify(call, roof)
    if (call.kind !== 'request') return this.#answerQuestion(call, roof)
    if (countsAtRoof(call)) await this.#env.passRoof(call)
    if (LISTS.has(call.method)) return this.#list(call, roof)
    switch (call.method) {
      case 'ping':
        return this.#env.server.answer(call, 200, this.#result(call, {}))
      case 'logging/setLevel':
        return this.#setLevel(call, roof)
      case 'tools/call':
      case 'prompts/get':
        return this.#toOwner(
          call,
          roof,
          await this.#owner(call, roof, call.method === 'tools/call' ? 'tools/list' : 'prompts/list'),
          ['params', 'name'],
        )
      case 'resources/read':
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return this.#toOwner(
          call,
          roof,
          { server: await this.#resourceOwner(call, roof, call.message!.params?.uri), name: '' },
          null,
        )
      case 'completion/complete':
        return this.#complete(call, roof)
      default:
        throw new WeirError('method_unknown', call.method.slice(0, 100))
    }
  }

  async openStream(call: Call): Promise<void> {
    call.session = openSession(call, this.#env.seal)
    if (!call.session) throw new WeirError('method_not_allowed', 'GET without a session')
    const roof = await this.#openSession(call)
    if (!roof) return
    if (call.res.destroyed) return
    if (roof.hasStream) throw new WeirError('stream_exists')
    call.http_status = 200
    openRoofStream(call, roof, this.#env)
  }

  async endSession(call: Call): Promise<void> {
    call.session = openSession(call, this.#env.seal)
    if (!call.session) throw new WeirError('session_required')
    if (call.session.owner !== this.#env.slot && (await this.#env.hop(call, call.session.owner))) return
    this.#env.sessions.end(call.session.handle)
    this.#env.questions.sessionEnded(call.session.handle)
    this.#env.server.answer(call, 200, '')
  }

  // --- sessions ---------------------------------------------------------------------------------------------------

  /** The session of a legacy call. Null when another worker took the request. */
  async #openSession(call: Call): Promise<RoofSession | null> {
    const session = call.session
    if (!session) throw new WeirError('session_required')
    if (session.owner !== this.#env.slot && !call.isHop) {
      const wasRecorded = call.isRecorded
      call.isRecorded = true
      if (await this.#env.hop(call, session.owner)) return null
      call.isRecorded = wasRecorded
    }
    const known = this.#env.sessions.get(session.handle)
    if (known) {
      known.adopt(this.#upstreams)
      return known
    }
    if (this.#env.sessions.hasEnded(session.handle)) throw new WeirError('session_unknown')
    // The worker that held it is gone: everything but its streams can be made again.
    const roof = new RoofSession(session, introductionOf(session), this.#upstreams, true)
    this.#env.sessions.add(roof)
    return roof
  }

  /** The sessions open now with servers that the caller may use something of. */
  async #members(call: Call, roof: RoofSession): Promise<Member[]> {
    const open = await roof.members()
    return open.filter(({ upstream }) => reaches(this.#env, call, upstream.name))
  }

  async #initialize(call: Call): Promise<void> {
    await this.#env.passRoof(call)
    const params = call.message!.params ?? {}
    const capabilities = capabilitiesText(params.capabilities)
    const version = LEGACY_VERSIONS.includes(call.protocol_version) ? call.protocol_version : LEGACY_VERSION
    const session: Session = {
      handle: call.trace_source === 'run' ? call.trace_id : newSpanId() + newSpanId(),
      caller: call.identity!.caller,
      server: '',
      upstream_id: '',
      owner: this.#env.slot,
      client_name: call.client_name,
      client_version: call.client_version,
      protocol_version: version,
      capabilities: capabilities.length <= 2048 ? capabilities : '{}',
    }
    const roof = new RoofSession(
      session,
      { ...introductionOf(session), capabilities },
      this.#upstreams,
      false,
    )
    // Before any server is asked: one too many must cost nothing.
    this.#env.sessions.add(roof)
    const members: Member[] = []
    const { missed } = await askAll(call, reachable(this.#env, call, this.#upstreams), async (upstream) => {
      const member = await roof.member(upstream.name)
      members.push(member)
      return { status: 200, headers: {}, message: { result: {} } }
    }).catch((error) => ({
      missed: ((error as WeirError).data?.missed as { server: string; reason: string }[]) ?? [],
    }))
    const order = [...this.#upstreams.keys()]
    members.sort((a, b) => order.indexOf(a.upstream.name) - order.indexOf(b.upstream.name))
    call.session = session
    startSession(call)
    const instructions = mergeInstructions(
      members.map((m) => ({ server: m.upstream.name, instructions: m.instructions })),
    )
    const result = {
      protocolVersion: version,
      // A server that is missed now may have any of these later.
      capabilities: mergeCapabilities([
        ...(missed.length > 0 ? [LATER] : []),
        ...members.map((m) => m.capabilities),
      ]),
      serverInfo: WEIR_INFO,
      ...(instructions ? { instructions } : {}),
      ...missedMeta(missed),
    }
    this.#env.server.answer(call, 200, this.#result(call, result), {
      'mcp-session-id': this.#env.seal.seal(session),
    })
  }

  async #notify(call: Call, roof: RoofSession): Promise<void> {
    let members = await this.#members(call, roof)
    if (call.method === 'notifications/initialized') {
      roof.isInitialized = true
      await Promise.allSettled(members.map((m) => roof.tellInitialized(m)))
      return this.#env.server.answer(call, 202, '')
    }
    if (call.method === 'notifications/cancelled') {
      this.#env.cancelled(call)
      const server = roof.open.get(JSON.stringify(call.message!.params?.requestId))
      members = members.filter((m) => m.upstream.name === server)
    }
    await Promise.allSettled(
      members.map((m) =>
        ask(
          m.upstream,
          memberHeaders(m.upstream, roof.caller, m),
          call.text,
          m.upstream.config.list_timeout_ms,
        ),
      ),
    )
    this.#env.server.answer(call, 202, '')
  }

  /** The client answers a server's question: back to that server, under the server's own id. */
  async #answerQuestion(call: Call, roof: RoofSession): Promise<void> {
    const question = answeredQuestion(call.message!)
    const upstream = question && this.#upstreams.get(question.server)
    if (!question || !upstream) throw new WeirError('invalid_request', 'no server asked this')
    this.#env.questions.answered(call, question.server, JSON.parse(question.id))
    const member = await roof.member(question.server)
    await ask(
      member.upstream,
      memberHeaders(member.upstream, roof.caller, member),
      setValue(call.text, ['id'], question.id),
      upstream.config.list_timeout_ms,
    )
    this.#env.server.answer(call, 202, '')
  }

  // --- merged -----------------------------------------------------------------------------------------------------

  async #list(call: Call, roof: RoofSession): Promise<void> {
    const { message, method, identity } = call
    const cursor = message!.params?.cursor
    const positions =
      cursor === undefined ? null : openCursor(this.#env.cursorKey, identity!.caller, method, cursor)
    const capability = LIST_CAPABILITY.get(method)!
    const asked = reachable(this.#env, call, this.#upstreams).filter(
      (u) => positions === null || positions[u.name] !== undefined,
    )
    const { heard: all_heard, missed } = await askAll(call, asked, async (upstream, parent) => {
      const query = async (): Promise<Awaited<ReturnType<typeof ask>>> => {
        const member = await roof.member(upstream.name)
        this.#env.catalogue.introduced(upstream.name, member.info)
        if (!(capability in member.capabilities))
          return { status: 200, headers: {}, message: null, isUnsent: true }
        const params = listParams(message!, positions?.[upstream.name], parent)
        const body = JSON.stringify({ jsonrpc: '2.0', id: 'weir-list', method, params })
        const answer = await ask(
          member.upstream,
          memberHeaders(member.upstream, roof.caller, member),
          body,
          upstream.config.list_timeout_ms,
        )
        if (answer.status === 404 || (answer.status === 400 && member.id)) roof.lose(member)
        if (method === 'tools/list')
          this.#env.definitions.listed(call, upstream.name, member.version, answer.message)
        return answer
      }
      const first = await query()
      // A server that forgot the session is asked once more in a new one.
      return first.status === 404 || first.status === 400 ? query() : first
    })
    const heard = shownTo(this.#env, call, all_heard)
    const next = nextPositions(heard, positions)
    const all = mergeEntries(method, heard, this.#names, this.#resources)
    const entries = method === 'tools/list' ? legacyEntries(all, roof.session.protocol_version) : all
    const result = {
      [LISTS.get(method)!]: entries,
      ...(next ? { nextCursor: sealCursor(this.#env.cursorKey, identity!.caller, method, next) } : {}),
      ...missedMeta(missed),
    }
    call.list_items = entries.length
    const body = this.#result(call, result)
    call.text_bytes_out = body.length
    if (method === 'tools/list') this.#env.catalogue.listed(call, body, () => listingOf(heard, this.#names))
    this.#env.server.answer(call, 200, body)
  }

  async #setLevel(call: Call, roof: RoofSession): Promise<void> {
    const members = (await this.#members(call, roof)).filter((m) => 'logging' in m.capabilities)
    await askAll(
      call,
      members.map((m) => m.upstream),
      (upstream, parent) => {
        const member = members.find((m) => m.upstream === upstream)!
        return ask(
          upstream,
          memberHeaders(upstream, roof.caller, member),
          withTraceparent(call.text, call.message!, parent, call.tracestate),
          upstream.config.list_timeout_ms,
        )
      },
    )
    this.#env.server.answer(call, 200, this.#result(call, {}))
  }

  // --- to one server ----------------------------------------------------------------------------------------------

  async #owner(call: Call, roof: RoofSession, list: 'tools/list' | 'prompts/list'): Promise<Owned> {
    const unknown = this.#names.toLearn(call.exposed_name, list, Date.now(), this.#env.gate !== null)
    if (unknown.length > 0)
      await Promise.allSettled(unknown.map((server) => learn(this.#learned, roof, server, list)))
    const owned = this.#names.resolve(call.exposed_name)
    call.tool = ''
    if (!owned)
      throw new WeirError(
        call.method === 'tools/call' ? 'tool_unknown' : 'prompt_unknown',
        call.exposed_name.slice(0, 100),
      )
    return owned
  }

  #resourceOwner(call: Call, roof: RoofSession, uri: unknown): Promise<string> {
    return resourceOwner(this.#env, call, this.#learned, roof, uri)
  }

  async #complete(call: Call, roof: RoofSession): Promise<void> {
    const ref = call.message!.params?.ref as { type?: unknown; name?: unknown; uri?: unknown } | undefined
    if (ref?.type === 'ref/prompt' && typeof ref.name === 'string') {
      call.exposed_name = ref.name
      const owned = await this.#owner(call, roof, 'prompts/list')
      return this.#toOwner(call, roof, owned, ['params', 'ref', 'name'])
    }
    if (ref?.type === 'ref/resource') {
      const server = await this.#resourceOwner(call, roof, ref.uri)
      return this.#toOwner(call, roof, { server, name: '' }, null)
    }
    throw new WeirError('params_invalid', 'ref is neither ref/prompt nor ref/resource')
  }

  /** Relays a call to the server it belongs to, under the name that server knows. */
  async #toOwner(
    call: Call,
    roof: RoofSession,
    owned: Owned,
    namePath: readonly string[] | null,
    isRetry = false,
  ): Promise<void> {
    const started_us = nowUs()
    mustReach(this.#env, call, owned.server)
    call.server = owned.server
    call.tool = owned.name
    const meant = this.#upstreams.get(owned.server)
    if (!meant) throw new WeirError('tool_unknown')
    call.upstream_transport = meant.transport
    call.upstream_endpoint = meant.endpoint
    const member = await roof.member(owned.server)
    const { upstream } = member
    call.queue_us += nowUs() - started_us
    call.way = upstream
    call.upstream_protocol_version = member.version
    call.upstream_session = member.id
    if (!isRetry) await this.#env.passTarget(call)
    if (call.res.destroyed) throw new WeirError('client_gone')
    call.attempts++
    call.client_span_id = newSpanId()
    const parent = traceparent(call, call.client_span_id)
    const named = namePath ? setValue(call.text, namePath, JSON.stringify(owned.name)) : call.text
    const headers = [...memberHeaders(upstream, roof.caller, member), 'traceparent', parent]
    if (call.tracestate) headers.push('tracestate', call.tracestate)
    const id = call.id!
    roof.open.set(id, upstream.name)
    call.res.once('close', () => roof.open.delete(id))
    call.forwarded_us = nowUs()
    const hooks = this.#env.judged(call, {
      filter: null,
      sessionId: null,
      message: (json) => fromServer(upstream.name, json),
      result: olderAnswer(call, roof.session.protocol_version, member.version),
      takenBack: (status, body) => {
        const isLost = status === 404 || (status === 400 && !upstream.isHosted && saysSessionLost(body))
        if (isRetry || !member.id || !isLost) return false
        roof.lose(member)
        call.forwarded_us = call.sent_us = call.first_byte_us = 0
        this.#toOwner(call, roof, owned, namePath, true).catch((error) =>
          this.#env.server.refuse(call, asWeirError(error)),
        )
        return true
      },
    })
    const body = Buffer.from(withTraceparent(named, call.message!, parent, call.tracestate))
    upstream.send('POST', headers, body, new Relay(call, upstream, this.#env, hooks))
  }

  #result(call: Call, result: Record<string, unknown>): string {
    return `{"jsonrpc":"2.0","id":${call.id},"result":${JSON.stringify(result)}}`
  }
}
