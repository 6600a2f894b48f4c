/**
 * Servers that each speak exactly one revision of MCP over one transport, without an SDK, and answer what their revision
 * has and nothing else: `node matrix-server.ts <revision>:<transport>[:<port>] …`; transport: http, sse, websocket, stdio.
 * Keys of calls that were cancelled are appended to the file MATRIX_REPORT, so that a test sees it whatever process it was.
 */
import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createInterface } from 'node:readline'

type Json = Record<string, unknown>
type Out = (message: object) => void
type Context = { out: Out; signal: AbortSignal; params: Json; meta: Json }

const MODERN = '2026-07-28'
const KEY = 'io.modelcontextprotocol/'
const SERVER_INFO = { name: 'matrix-server', version: '1' }
const SCHEMA = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] }
const QUESTION = { message: 'Who are you?', requestedSchema: SCHEMA }
const SAMPLE = {
  messages: [{ role: 'user', content: { type: 'text', text: 'say something' } }],
  maxTokens: 10,
}
/** Tools that ask: what they ask, and which capability of the client they need. */
const ASKS: Record<string, { method: string; params: Json; needs: string; since: string }> = {
  ask: { method: 'elicitation/create', params: QUESTION, needs: 'elicitation', since: '2025-06-18' },
  sample: { method: 'sampling/createMessage', params: SAMPLE, needs: 'sampling', since: '2024-11-05' },
}

const said = (text: string): Json => ({ content: [{ type: 'text', text }] })
const failed = (text: string): Json => ({ ...said(text), isError: true })
const asJson = (value: unknown): Json => (value ?? {}) as Json
class RpcError extends Error {
  readonly code: number
  readonly data: Json
  constructor(code: number, message: string, data: Json = {}) {
    super(message)
    this.code = code
    this.data = data
  }
}

/** One connection, or one session over HTTP; in the modern revision nothing is kept between requests. */
class Session {
  readonly revision: string
  readonly #isModern: boolean
  readonly #open = new Map<string, AbortController>()
  readonly #asked = new Map<string, (message: Json) => void>()
  #capabilities: Json | null = null

  constructor(revision: string) {
    this.revision = revision
    this.#isModern = revision >= MODERN
  }

  /** Resolves when the message needs no more: a request was answered through `out`, or cancelled. */
  async receive(message: Json, out: Out): Promise<void> {
    const { id, method } = message
    if (method === undefined) return this.#asked.get(String(id))?.(message)
    const params = asJson(message.params)
    if (id === undefined) {
      if (method === 'notifications/cancelled') this.#open.get(JSON.stringify(params.requestId))?.abort()
      return
    }
    const stop = new AbortController()
    this.#open.set(JSON.stringify(id), stop)
    try {
      const meta = asJson(params._meta)
      const result = await this.#answer(String(method), { out, signal: stop.signal, params, meta })
      if (!stop.signal.aborted) out({ jsonrpc: '2.0', id, result: this.#complete(String(method), result) })
    } catch (error) {
      const { code = -32603, data = {} } = error as RpcError
      if (!stop.signal.aborted)
        out({ jsonrpc: '2.0', id, error: { code, message: (error as Error).message, data } })
    } finally {
      this.#open.delete(JSON.stringify(id))
    }
  }

  cancelAll(): void {
    for (const stop of this.#open.values()) stop.abort()
  }

  #complete(method: string, result: Json): Json {
    if (!this.#isModern) return result
    const hints = /^(server\/discover|tools\/list)$/.test(method) ? { ttlMs: 0, cacheScope: 'private' } : {}
    return { resultType: 'complete', ...hints, _meta: { [`${KEY}serverInfo`]: SERVER_INFO }, ...result }
  }

  async #answer(method: string, context: Context): Promise<Json> {
    if (this.#isModern) this.#checkEnvelope(method, context.meta)
    else if (method === 'initialize') {
      this.#capabilities = asJson(context.params.capabilities)
      return { protocolVersion: this.revision, capabilities: { tools: {} }, serverInfo: SERVER_INFO }
    } else if (method !== 'server/discover') {
      if (this.#capabilities === null) throw new RpcError(-32600, 'initialize comes first')
      const foreign = Object.keys(context.meta).find((key) => key.startsWith(KEY))
      if (foreign) throw new RpcError(-32600, `${foreign} does not exist in ${this.revision}`)
    }
    if (method === 'server/discover' && this.#isModern)
      return { supportedVersions: [this.revision], capabilities: { tools: {} } }
    if (method === 'ping' && !this.#isModern) return {}
    if (method === 'tools/list') return { tools: this.#tools() }
    if (method === 'tools/call') return this.#call(context)
    throw new RpcError(-32601, 'Method not found')
  }

  #checkEnvelope(method: string, meta: Json): void {
    const requested = meta[`${KEY}protocolVersion`]
    const data = { supported: [this.revision], requested: requested ?? 'none' }
    if (method === 'initialize' || requested !== this.revision)
      throw new RpcError(-32022, 'Unsupported protocol version', data)
    if (typeof meta[`${KEY}clientCapabilities`] !== 'object')
      throw new RpcError(-32602, 'params._meta lacks clientCapabilities')
  }

  #tools(): Json[] {
    const { revision } = this
    // Results that are no objects may be structured since the modern revision.
    const outputSchema = this.#isModern
      ? { type: 'array', items: { type: 'number' } }
      : { type: 'object', properties: { numbers: { type: 'array' } } }
    return ['echo', 'fail', 'steps', 'wait', 'ask', 'sample'].map((name) => ({
      name,
      inputSchema: { type: 'object' },
      ...(revision >= '2025-03-26' && { annotations: { readOnlyHint: true } }),
      ...(revision >= '2025-06-18' && name === 'echo' && { outputSchema }),
      ...(revision === '2025-11-25' && { execution: { taskSupport: 'forbidden' } }),
    }))
  }

  async #call({ out, signal, params, meta }: Context): Promise<Json> {
    const args = asJson(params.arguments)
    const { progressToken } = meta
    const progress = (step: number): void => {
      if (progressToken === undefined) return
      const told = { progressToken, progress: step, total: 2 }
      out({ jsonrpc: '2.0', method: 'notifications/progress', params: told })
    }
    switch (params.name) {
      case 'echo':
        return this.#everythingToRead(String(args.text))
      case 'fail':
        return failed('it went wrong')
      case 'steps':
        progress(1)
        progress(2)
        return said('two steps')
      case 'wait': {
        progress(1)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        appendFileSync(process.env.MATRIX_REPORT!, `${String(args.key)}\n`)
        return {}
      }
      case 'ask':
      case 'sample':
        return this.#isModern ? this.#askModern(params, meta) : this.#askLegacy(params, out)
    }
    throw new RpcError(-32602, `Unknown tool: ${String(params.name)}`)
  }

  /** Every kind of content that the revision has. */
  #everythingToRead(text: string): Json {
    const { revision } = this
    const content: Json[] = [{ type: 'text', text: `echo: ${text}` }]
    if (revision >= '2025-03-26') content.push({ type: 'audio', data: 'AAAA', mimeType: 'audio/wav' })
    if (revision >= '2025-06-18') content.push({ type: 'resource_link', uri: 'note://1', name: 'a note' })
    const structuredContent = this.#isModern ? [1, 2] : { numbers: [1, 2] }
    return { content, ...(revision >= '2025-06-18' && { structuredContent }) }
  }

  async #askLegacy(params: Json, out: Out): Promise<Json> {
    const { method, params: question, needs, since } = ASKS[String(params.name)]!
    if (this.revision < since) return failed(`${this.revision} has no ${needs}`)
    if (this.#capabilities?.[needs] === undefined) return failed(`the client has no ${needs}`)
    const id = `q-${randomUUID()}`
    const answer = await new Promise<Json>((resolve) => {
      this.#asked.set(id, resolve)
      out({ jsonrpc: '2.0', id, method, params: question })
    })
    this.#asked.delete(id)
    return answered(asJson(answer.result))
  }

  #askModern(params: Json, meta: Json): Json {
    const { method, params: question, needs } = ASKS[String(params.name)]!
    const requiredCapabilities = { [needs]: {} }
    if (asJson(meta[`${KEY}clientCapabilities`])[needs] === undefined)
      throw new RpcError(-32021, `the client has no ${needs}`, { requiredCapabilities })
    const given = asJson(params.inputResponses).who
    const requestState = `state of ${String(params.name)}`
    if (given === undefined)
      return {
        resultType: 'input_required',
        inputRequests: { who: { method, params: question } },
        requestState,
      }
    if (params.requestState !== requestState) throw new RpcError(-32602, 'requestState is another one')
    return answered(asJson(given))
  }
}

/** What an elicitation or a sampling was answered with. */
const answered = (result: Json): Json =>
  said(`answer: ${String(asJson(result.content).name ?? asJson(result.content).text)}`)

const serve = (port: string, take: (req: IncomingMessage, res: ServerResponse, text: string) => void) =>
  new Promise<import('node:http').Server>((resolve) => {
    const server = createServer((req, res) => {
      const chunks: Buffer[] = []
      req.on('data', (chunk: Buffer) => chunks.push(chunk))
      req.on('end', () => take(req, res, Buffer.concat(chunks).toString()))
    })
    server.listen(Number(port), '127.0.0.1', () => resolve(server))
  })
const end = (res: ServerResponse, status: number, message?: object, headers: Json = {}): void => {
  const type = message ? { 'content-type': 'application/json' } : {}
  res.writeHead(status, { ...type, ...(headers as Record<string, string>) })
  res.end(message && JSON.stringify(message))
}
const frame = (message: object): string => `event: message\ndata: ${JSON.stringify(message)}\n\n`
const refusal = (code: number, message: string, id: unknown = null): object => ({
  jsonrpc: '2.0',
  id,
  error: { code, message },
})

/** The answer of a POST: JSON when it is all there is, otherwise a stream that the response ends. */
function answerOn(res: ServerResponse, statusOf: (message: Json) => number, headers: Json): Out {
  return (sent) => {
    const message = sent as Json
    const isLast = message.method === undefined
    if (!res.headersSent && isLast) return end(res, statusOf(message), message, headers)
    if (!res.headersSent)
      res.writeHead(200, { 'content-type': 'text/event-stream', ...(headers as Record<string, string>) })
    res.write(frame(message))
    if (isLast) res.end()
  }
}

const STATUS: Record<number, number> = { [-32020]: 400, [-32021]: 400, [-32022]: 400, [-32601]: 404 }

function modernPost(req: IncomingMessage, res: ServerResponse, message: Json): void {
  const { method, id, params } = message
  const name = method === 'tools/call' ? asJson(params).name : undefined
  if (req.method !== 'POST') return end(res, 405)
  if (typeof method !== 'string') return end(res, 400, refusal(-32600, 'responses do not exist'))
  if (id === undefined) return end(res, 202)
  const wrong = [
    ['mcp-protocol-version', method === 'initialize' ? undefined : MODERN],
    ['mcp-method', method === 'initialize' ? undefined : method],
    ['mcp-name', name],
    ['mcp-session-id', undefined],
  ].find(([header, value]) => value !== undefined && req.headers[header as string] !== value)
  if (wrong) return end(res, 400, refusal(-32020, `${String(wrong[0])} is wrong`, id))
  const session = new Session(MODERN)
  res.on('close', () => session.cancelAll())
  const statusOf = ({ error }: Json): number => STATUS[(error as RpcError | undefined)?.code ?? 0] ?? 200
  void session.receive(message, answerOn(res, statusOf, {}))
}

function legacyHttp(revision: string) {
  const sessions = new Map<string, Session>()
  return (req: IncomingMessage, res: ServerResponse, message: Json): void => {
    const known = String(req.headers['mcp-session-id'] ?? '')
    if (message.method === 'initialize') {
      const id = randomUUID()
      const session = new Session(revision)
      sessions.set(id, session)
      const answer = answerOn(res, () => 200, { 'mcp-session-id': id })
      return void session.receive(message, answer)
    }
    const session = sessions.get(known)
    if (!session) return end(res, known === '' ? 400 : 404, refusal(-32000, 'no such session', message.id))
    const version = req.headers['mcp-protocol-version']
    if (revision >= '2025-06-18' && version !== revision)
      return end(res, 400, refusal(-32000, `version ${String(version)} is not ${revision}`, message.id))
    if (req.method === 'DELETE') {
      sessions.delete(known)
      return end(res, 200)
    }
    if (req.method !== 'POST') return end(res, 405)
    const isRequest = message.method !== undefined && message.id !== undefined
    const ended = session.receive(
      message,
      answerOn(res, () => 200, {}),
    )
    if (!isRequest) end(res, 202)
    // What was cancelled gets no answer, but its stream ends.
    else void ended.then(() => res.end())
  }
}

async function http(revision: string, port: string): Promise<void> {
  const take = revision >= MODERN ? modernPost : legacyHttp(revision)
  await serve(port, (req, res, text) => take(req, res, text === '' ? {} : (JSON.parse(text) as Json)))
}

async function sse(revision: string, port: string): Promise<void> {
  const streams = new Map<string, { session: Session; res: ServerResponse }>()
  await serve(port, (req, res, text) => {
    const url = new URL(req.url!, 'http://x')
    if (req.method === 'GET' && url.pathname === '/sse') {
      const id = randomUUID()
      streams.set(id, { session: new Session(revision), res })
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(`event: endpoint\ndata: /message?sessionId=${id}\n\n`)
      res.on('close', () => streams.delete(id))
      return
    }
    const stream = streams.get(url.searchParams.get('sessionId') ?? '')
    if (req.method !== 'POST' || !stream) return end(res, 404)
    end(res, 202)
    void stream.session.receive(JSON.parse(text) as Json, (message) => stream.res.write(frame(message)))
  })
}

async function websocket(revision: string, port: string): Promise<void> {
  const { WebSocketServer } = await import('ws')
  const server = await serve(port, (_req, res) => end(res, 426))
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'mcp' })
  sockets.on('connection', (socket) => {
    const session = new Session(revision)
    const out: Out = (message) => socket.send(JSON.stringify(message))
    socket.on('message', (data: Buffer) => void session.receive(JSON.parse(data.toString()) as Json, out))
  })
}

function stdio(revision: string): void {
  const session = new Session(revision)
  const out: Out = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)
  createInterface({ input: process.stdin }).on('line', (line) => {
    void session.receive(JSON.parse(line) as Json, out)
  })
}

const KINDS = { http, sse, websocket, stdio } as const
const asked = process.argv.slice(2).map((text) => text.split(':') as [string, keyof typeof KINDS, string])
await Promise.all(asked.map(([revision, kind, port]) => KINDS[kind](revision, port)))
if (asked[0]![1] !== 'stdio') process.stdout.write('ready\n')
