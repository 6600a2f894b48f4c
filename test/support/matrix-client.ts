/**
 * A client that speaks one revision of MCP over one transport, without an SDK, and holds everything it is told against
 * that revision. Legacy: it knows the older revisions too, as clients do, and leaves when a server answers with a newer one.
 * What it finds wrong is in `faults`; every request it sent, with what came of it, in `sent`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { EventReader } from '../../proxy/mcp/event-reader.ts'

export type Json = Record<string, unknown>
export type Transport = 'http' | 'sse' | 'stdio' | 'websocket'
export const MODERN = '2026-07-28'
const KEY = 'io.modelcontextprotocol/'
const PROGRAM = fileURLToPath(new URL('../../weir.ts', import.meta.url))
const ANSWER_MAX_MS = 60_000
/** A hundred of them start: what was stripped and compiled once serves the next. */
const COMPILED = join(tmpdir(), 'weir-test-compiled')

/** `outcome`: what the event of the request has to say. */
export type Sent = { id: string; method: string; tool: string; outcome: string; version: string }
export type Answer = { result?: Json; error?: { code: number; message: string }; isCancelled?: true }
type Options = {
  revision: string
  transport: Transport
  /** http://host:port of Weir, and the endpoint. */
  origin: string
  path: string
  tag: string
}
type Pending = { resolve: (answer: Answer) => void; progress: (params: Json) => void }
/** Carries messages; what comes back is told to the client. */
type Way = {
  send(message: Json): Promise<void> | void
  /** Leaves the stream of a modern request; false where a notification has to say it. */
  leave?(id: string): void
  close(): Promise<void> | void
}

const asJson = (value: unknown): Json => (value ?? {}) as Json

export class MatrixClient {
  readonly faults: string[] = []
  readonly sent: Sent[] = []
  /** Methods of the questions it was asked. */
  readonly questions: string[] = []
  readonly tag: string
  readonly isModern: boolean
  /** The revision in use. */
  version: string
  readonly #options: Options
  readonly #pending = new Map<string, Pending>()
  #way!: Way
  #count = 0

  private constructor(options: Options) {
    this.#options = options
    this.tag = options.tag
    this.version = options.revision
    this.isModern = options.revision >= MODERN
  }

  static async open(options: Options): Promise<MatrixClient> {
    const client = new MatrixClient(options)
    client.#way = await WAYS[options.transport](options, client)
    return client
  }

  close(): Promise<void> | void {
    return this.#way.close()
  }

  /** The handshake of its era. False: the server's revision is none it knows, and it leaves. */
  async greet(): Promise<boolean> {
    if (this.isModern) {
      const { result } = await this.ask('server/discover')
      const versions = result?.supportedVersions as string[] | undefined
      if (!versions?.includes(this.version)) this.faults.push(`discover lists ${String(versions)}`)
      return true
    }
    const clientInfo = { name: `matrix-${this.#options.tag}`, version: '1' }
    const params = { protocolVersion: this.version, capabilities: this.#capabilities, clientInfo }
    const { result, error } = await this.ask('initialize', params)
    const answered = String(result?.protocolVersion ?? error?.message)
    if (!(answered <= this.version)) {
      this.version = answered
      return false
    }
    this.version = answered
    await this.#way.send({ jsonrpc: '2.0', method: 'notifications/initialized' })
    return true
  }

  /** Calls a tool; a modern client answers what the server asks on the way. `started`: after the first progress. */
  async call(
    name: string,
    args: Json = {},
    started?: (cancel: () => void, step: Json) => void,
  ): Promise<Answer> {
    const answer = await this.ask('tools/call', { name, arguments: args }, started)
    const asked = answer.result?.inputRequests
    if (asked === undefined) return answer
    const inputResponses: Json = {}
    for (const [key, { method, params }] of Object.entries(asked as Record<string, Json>))
      inputResponses[key] = this.#answerTo(String(method), asJson(params))
    const { requestState } = answer.result!
    return this.ask('tools/call', { name, arguments: args, inputResponses, requestState })
  }

  async ask(
    method: string,
    params: Json = {},
    started?: (cancel: () => void, step: Json) => void,
  ): Promise<Answer> {
    const id = `${this.#options.tag}-${++this.#count}`
    const _meta: Json = {}
    if (started) _meta.progressToken = `token-${id}`
    if (this.isModern) {
      _meta[`${KEY}protocolVersion`] = this.version
      _meta[`${KEY}clientCapabilities`] = this.#capabilities
      _meta[`${KEY}clientInfo`] = { name: `matrix-${this.#options.tag}`, version: '1' }
    }
    const whole = Object.keys(_meta).length > 0 ? { ...params, _meta } : params
    const record: Sent = {
      id,
      method,
      tool: String(params.name ?? ''),
      outcome: 'none',
      version: this.version,
    }
    this.sent.push(record)
    const answer = await new Promise<Answer>((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${id} ${method} ${record.tool}: no answer`)),
        ANSWER_MAX_MS,
      )
      const settle = (one: Answer): void => {
        clearTimeout(late)
        this.#pending.delete(id)
        resolve(one)
      }
      const cancel = (): void => {
        const requestId = id
        if (this.isModern && this.#way.leave) this.#way.leave(id)
        else void this.#way.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } })
        settle({ isCancelled: true })
      }
      const progress = (told: Json): void => {
        if (told.progressToken !== _meta.progressToken) this.faults.push('a progress token of another')
        started?.(cancel, told)
      }
      this.#pending.set(id, { resolve: settle, progress })
      void this.#way.send({ jsonrpc: '2.0', id, method, params: whole })
    })
    record.outcome = outcomeOf(answer)
    this.#check(method, answer)
    return answer
  }

  /** A message of the other side, as text. */
  hear(text: string): void {
    const message = JSON.parse(text) as Json
    if (message.jsonrpc !== '2.0') this.faults.push('not JSON-RPC 2.0')
    const { id, method } = message
    if (method === undefined) {
      const pending = this.#pending.get(String(id))
      // A result may cross a cancel; any other answer nobody asked for.
      const isLate =
        'result' in message && this.sent.some((one) => one.id === id && one.outcome === 'cancelled')
      if (!pending && !isLate) this.faults.push(`an answer to nothing: ${text.slice(0, 300)}`)
      return pending?.resolve(message as Answer)
    }
    if (id === undefined) {
      if (method === 'notifications/progress')
        // One call at a time: whatever progress comes is of that one.
        for (const { progress } of this.#pending.values()) progress(asJson(message.params))
      return
    }
    if (this.isModern) return void this.faults.push(`a request to a modern client: ${String(method)}`)
    const result = this.#answerTo(String(method), asJson(message.params))
    void this.#way.send({ jsonrpc: '2.0', id, result })
  }

  /** The way is gone, or a message was not taken. */
  lost(why: string): void {
    for (const [id, { resolve }] of [...this.#pending]) {
      this.faults.push(`${id}: ${why}`)
      resolve({ error: { code: 0, message: why } })
    }
  }

  get #capabilities(): Json {
    return { sampling: {}, ...(this.version >= '2025-06-18' && { elicitation: {} }) }
  }

  #answerTo(method: string, params: Json): Json {
    this.questions.push(method)
    const { tag } = this.#options
    if (method === 'ping') return {}
    if (method === 'sampling/createMessage')
      return { role: 'assistant', content: { type: 'text', text: tag }, model: 'none' }
    if (method !== 'elicitation/create') this.faults.push(`asked for ${method}`)
    if (this.version < '2025-06-18') this.faults.push('an elicitation before there were any')
    if (typeof params.message !== 'string' || typeof params.requestedSchema !== 'object')
      this.faults.push('an elicitation without its parts')
    return { action: 'accept', content: { name: tag } }
  }

  /** Holds an answer against the revision in use. */
  #check(method: string, { result, error }: Answer): void {
    const { version } = this
    const wrong = (what: string): void => void this.faults.push(`${method}: ${what} in ${version}`)
    if (error && this.isModern && (error.code === -32002 || error.code === -32042))
      wrong(`code ${error.code}`)
    if (error && !this.isModern && error.code <= -32020 && error.code > -32100) wrong(`code ${error.code}`)
    if (!result) return
    if (this.isModern) {
      if (typeof result.resultType !== 'string') wrong('no resultType')
      const isCacheable = method === 'server/discover' || method === 'tools/list'
      if (isCacheable && (typeof result.ttlMs !== 'number' || typeof result.cacheScope !== 'string'))
        wrong('no cache hints')
      if (JSON.stringify(result).includes('"execution"')) wrong('execution')
    } else {
      for (const key of ['resultType', 'ttlMs', 'cacheScope', 'inputRequests', 'requestState'])
        if (key in result) wrong(key)
    }
    const text = JSON.stringify(result)
    const content = (Array.isArray(result.content) ? result.content : []) as Json[]
    if (version < '2025-06-18') {
      if ('structuredContent' in result) wrong('structuredContent')
      if (text.includes('"outputSchema"')) wrong('outputSchema')
      if (content.some(({ type }) => type === 'resource_link')) wrong('resource_link')
    } else if (!this.isModern && 'structuredContent' in result) {
      const { structuredContent } = result
      if (Array.isArray(structuredContent)) wrong('structuredContent that is no object')
    }
    if (version < '2025-03-26' && content.some(({ type }) => type === 'audio')) wrong('audio')
    if (method === 'tools/call' && content.length === 0 && !result.inputRequests) wrong('no content')
    if (!this.isModern && method === 'tools/list')
      for (const { outputSchema } of result.tools as Json[])
        if (outputSchema !== undefined && asJson(outputSchema).type !== 'object')
          wrong('outputSchema of no object')
  }
}

function outcomeOf({ result, error, isCancelled }: Answer): string {
  if (isCancelled) return 'cancelled'
  if (error) return 'rpc_error'
  if (result?.resultType === 'input_required') return 'input_required'
  return result?.isError === true ? 'tool_error' : 'ok'
}

const labels = ({ tag }: Options): Record<string, string> => ({ 'x-weir-agent': tag })

/** Reads what an answer holds: messages as JSON or as events. */
function read(
  answer: IncomingMessage,
  event: (type: string, data: string, id: string) => void,
  ended: () => void,
): void {
  if (String(answer.headers['content-type']).startsWith('text/event-stream')) {
    let last = ''
    const reader = new EventReader(1_000_000, {
      event: (type, data) => event(type, data, last),
      id: (id) => {
        last = id
      },
      overflow() {},
    })
    answer.on('data', (chunk: Buffer) => reader.push(chunk))
    answer.on('end', ended)
  } else {
    let text = ''
    answer.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    answer.on('end', () => {
      if (text !== '') event('message', text, '')
      ended()
    })
  }
  answer.on('error', () => {})
}

async function overHttp(options: Options, client: MatrixClient): Promise<Way> {
  const agent = new Agent({ keepAlive: true })
  const open = new Map<string, ClientRequest>()
  let session = ''
  const headersOf = (message: Json): Record<string, string> => {
    const { method, params } = message
    if (client.isModern)
      return {
        'mcp-protocol-version': client.version,
        ...(typeof method === 'string' && { 'mcp-method': method }),
        ...(method === 'tools/call' && { 'mcp-name': String(asJson(params).name) }),
      }
    const isLater = client.version >= '2025-06-18' && method !== 'initialize'
    return {
      ...(session && { 'mcp-session-id': session }),
      ...(isLater && { 'mcp-protocol-version': client.version }),
    }
  }
  const hear = (type: string, data: string, id: string): void => {
    if (type !== 'message') client.faults.push(`an event of type ${type}`)
    if (client.isModern && id !== '') client.faults.push('an event with an id')
    // The priming event of a stream that can be gone on with holds nothing.
    if (data !== '') client.hear(data)
  }
  const send = (message: Json, method = 'POST'): Promise<void> =>
    new Promise((resolve) => {
      const isPost = method === 'POST'
      const own = isPost
        ? { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
        : {}
      const headers = { ...own, ...labels(options), ...headersOf(message) }
      const post = request(options.origin + options.path, { method, agent, headers })
      if (message.id !== undefined) open.set(String(message.id), post)
      post.on('response', (answer) => {
        const given = answer.headers['mcp-session-id']
        if (given !== undefined && client.isModern) client.faults.push('a session id for a modern client')
        if (message.method === 'initialize') session = String(given ?? '')
        const isRequest = message.id !== undefined && message.method !== undefined
        if (isPost && !isRequest && answer.statusCode !== 202)
          client.faults.push(`HTTP ${answer.statusCode} for ${String(message.method ?? 'an answer')}`)
        read(answer, hear, () => {
          open.delete(String(message.id))
          resolve()
        })
      })
      post.on('error', () => resolve())
      post.end(isPost ? JSON.stringify(message) : undefined)
    })
  return {
    send: (message) => send(message),
    leave: (id) => void open.get(id)?.destroy(),
    async close() {
      if (session) await send({}, 'DELETE')
      agent.destroy()
    },
  }
}

async function overSse(options: Options, client: MatrixClient): Promise<Way> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const headers = labels(options)
  const url = options.origin + options.path.replace(/mcp$/, 'sse')
  const { promise: endpoint, resolve: found, reject } = Promise.withResolvers<string>()
  const stream = request(url, { agent: false, headers: { ...headers, accept: 'text/event-stream' } })
  stream.on('response', (answer) => {
    if (answer.statusCode !== 200) reject(new Error(`HTTP ${answer.statusCode} for the stream`))
    read(
      answer,
      (type, data) => (type === 'endpoint' ? found(data) : client.hear(data)),
      () => client.lost('the stream ended'),
    )
  })
  stream.on('error', reject)
  stream.end()
  const target = new URL(await endpoint, url)
  return {
    send: (message) =>
      new Promise((resolve) => {
        const type = { 'content-type': 'application/json' }
        const post = request(target, { method: 'POST', agent, headers: { ...headers, ...type } })
        post.on('response', (answer) => {
          if (answer.statusCode !== 202) client.lost(`HTTP ${answer.statusCode}`)
          answer.resume().on('end', () => resolve())
        })
        post.on('error', () => resolve())
        post.end(JSON.stringify(message))
      }),
    close() {
      stream.destroy()
      agent.destroy()
    },
  }
}

async function overWebSocket(options: Options, client: MatrixClient): Promise<Way> {
  const url = (options.origin + options.path).replace(/^http/, 'ws')
  const socket = new WebSocket(url, 'mcp', { headers: labels(options) })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  socket.on('message', (data: Buffer) => client.hear(data.toString()))
  socket.on('close', () => client.lost('the socket closed'))
  return {
    send: (message) => socket.send(JSON.stringify(message)),
    close: () =>
      new Promise((resolve) => {
        socket.once('close', () => resolve())
        socket.close()
      }),
  }
}

async function overConnect(options: Options, client: MatrixClient): Promise<Way> {
  const header = Object.entries(labels(options)).map(([name, value]) => `${name}: ${value}`)
  const argv = [PROGRAM, 'connect', options.origin + options.path, '--header', header[0]!]
  const child: ChildProcess = spawn(process.execPath, argv, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
  })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  void gone.then(() => client.lost('weir connect ended'))
  createInterface({ input: child.stdout! }).on('line', (line) => client.hear(line))
  child.stdin!.on('error', () => {})
  return {
    send: (message) => void child.stdin!.write(`${JSON.stringify(message)}\n`),
    close() {
      child.stdin!.end()
      return gone
    },
  }
}

const WAYS: Record<Transport, (options: Options, client: MatrixClient) => Promise<Way>> = {
  http: overHttp,
  sse: overSse,
  stdio: overConnect,
  websocket: overWebSocket,
}
