/**
 * Real clients behind one small face, so that a scenario is written once: SDK v1, SDK v2 as it comes (legacy), and SDK v2
 * that negotiates the modern era. Each sends a tag as its agent label, by which its events are found.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { getDefaultEnvironment, StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import WebSocket from 'ws'
import { ROOT } from './observed.ts'

/** `connect`: SDK v1 over stdio with `weir connect`; `websocket`, `sse`: SDK v1 over these. */
export type Kind = 'sdk v1' | 'sdk v2' | 'sdk v2 auto' | 'connect' | 'websocket' | 'sse'
export type Result = Record<string, unknown>

export type TestClient = {
  readonly tag: string
  /** Messages of the server that reached this client, by method. */
  readonly heard: { method: string; params: Result }[]
  readonly instructions: string
  readonly session: string | undefined
  tools(): Promise<{ name: string; [key: string]: unknown }[]>
  call(
    name: string,
    args?: Result,
    options?: { signal?: AbortSignal; onprogress?: (progress: unknown) => void; timeout?: number },
  ): Promise<Result>
  prompts(): Promise<{ name: string }[]>
  prompt(name: string, args?: Record<string, string>): Promise<Result>
  resources(): Promise<{ uri: string }[]>
  templates(): Promise<{ uriTemplate: string }[]>
  read(uri: string): Promise<Result>
  complete(params: Result): Promise<Result>
  level(level: 'debug' | 'error'): Promise<void>
  subscribe(uri: string): Promise<void>
  /** Ends the session with DELETE. */
  terminate(): Promise<void>
  close(): Promise<void>
}

export type ClientOptions = { url: string; key?: string; tag: string }

const info = (tag: string) => ({ name: `client-${tag}`, version: '1.2.3' })
const CAPABILITIES = { sampling: {}, elicitation: {}, roots: {} }
const requestInit = ({ key, tag }: ClientOptions): RequestInit => ({
  headers: { 'x-weir-agent': tag, ...(key ? { authorization: `Bearer ${key}` } : {}) },
})

/** What this client answers when a server asks it something: its tag is in it, so that a mix-up shows. */
const answers = (tag: string) => ({
  sample: {
    model: 'm',
    role: 'assistant' as const,
    content: { type: 'text' as const, text: `sampled by ${tag}` },
  },
  elicit: { action: 'accept' as const, content: { name: tag } },
  roots: { roots: [{ uri: `file:///${tag}`, name: tag }] },
})

export async function connect(kind: Kind, options: ClientOptions): Promise<TestClient> {
  if (kind === 'sdk v1') return connectV1(options, overHttp(options))
  if (kind === 'connect') return connectV1(options, overStdio(options))
  if (kind === 'sse') return connectV1(options, overSse(options))
  if (kind === 'websocket') return connectV1(options, overWebSocket(options))
  return connectV2(options, kind === 'sdk v2 auto')
}

const overHttp = (options: ClientOptions): TransportV1 =>
  new TransportV1(new URL(options.url), { requestInit: requestInit(options) })

const overStdio = ({ url, key = '', tag }: ClientOptions): StdioClientTransport =>
  new StdioClientTransport({
    command: process.execPath,
    args: [join(ROOT, 'weir.ts'), 'connect', url, '--header', `x-weir-agent: ${tag}`],
    env: { ...getDefaultEnvironment(), WEIR_KEY: key },
  })

/** At the path beside the endpoint, as such clients are configured. */
const overSse = (options: ClientOptions): SSEClientTransport =>
  new SSEClientTransport(new URL(options.url.replace(/mcp$/, 'sse')), { requestInit: requestInit(options) })

/** The SDK's own WebSocket transport sends no headers: here with the key in the handshake. */
function overWebSocket(options: ClientOptions): Transport {
  const socket = new WebSocket(options.url.replace('http', 'ws'), 'mcp', {
    headers: requestInit(options).headers as Record<string, string>,
  })
  const transport: Transport = {
    start: async () => {
      socket.on('message', (data: Buffer) => transport.onmessage?.(JSON.parse(data.toString())))
      socket.on('close', () => transport.onclose?.())
      await once(socket, 'open')
    },
    send: async (message) => socket.send(JSON.stringify(message)),
    close: async () => socket.close(),
  }
  return transport
}

async function connectV1(options: ClientOptions, transport: Transport | TransportV1): Promise<TestClient> {
  const { tag } = options
  const heard: TestClient['heard'] = []
  const client = new ClientV1(info(tag), { capabilities: CAPABILITIES })
  const note = (method: string, params: unknown): void =>
    void heard.push({ method, params: params as Result })
  const noted = <A>(asked: { method: string; params?: unknown }, answer: A): A => {
    note(asked.method, asked.params)
    return answer
  }
  client.setRequestHandler(CreateMessageRequestSchema, async (r) => noted(r, answers(tag).sample))
  client.setRequestHandler(ElicitRequestSchema, async (r) => noted(r, answers(tag).elicit))
  client.setRequestHandler(ListRootsRequestSchema, async (r) => noted(r, answers(tag).roots))
  client.setNotificationHandler(LoggingMessageNotificationSchema, (n) => note(n.method, n.params))
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, (n) => note(n.method, n.params))
  await client.connect(transport as Parameters<typeof client.connect>[0])
  return {
    tag,
    heard,
    instructions: client.getInstructions() ?? '',
    get session() {
      return transport instanceof TransportV1 ? transport.sessionId : undefined
    },
    tools: async () => paged('tools', (params) => client.listTools(params)),
    call: async (name, args = {}, more = {}) =>
      (await client.callTool({ name, arguments: args }, undefined, more)) as Result,
    prompts: async () => paged('prompts', (params) => client.listPrompts(params)),
    prompt: async (name, args) =>
      (await client.getPrompt({ name, ...(args ? { arguments: args } : {}) })) as Result,
    resources: async () => paged('resources', (params) => client.listResources(params)),
    templates: async () => paged('resourceTemplates', (params) => client.listResourceTemplates(params)),
    read: async (uri) => (await client.readResource({ uri })) as Result,
    complete: async (params) =>
      (await client.complete(params as Parameters<typeof client.complete>[0])) as Result,
    level: async (level) => void (await client.setLoggingLevel(level)),
    subscribe: async (uri) => void (await client.subscribeResource({ uri })),
    terminate: async () => {
      if (transport instanceof TransportV1) await transport.terminateSession()
    },
    close: () => client.close(),
  }
}

async function connectV2(options: ClientOptions, isAuto: boolean): Promise<TestClient> {
  const { tag, url } = options
  const heard: TestClient['heard'] = []
  const client = new ClientV2(info(tag), {
    capabilities: CAPABILITIES,
    ...(isAuto ? { versionNegotiation: { mode: 'auto' as const } } : {}),
  })
  const note = (method: string, params: unknown): void =>
    void heard.push({ method, params: params as Result })
  const noted = <A>(asked: { method: string; params?: unknown }, answer: A): A => {
    note(asked.method, asked.params)
    return answer
  }
  client.setRequestHandler('sampling/createMessage', async (r) => noted(r, answers(tag).sample))
  client.setRequestHandler('elicitation/create', async (r) => noted(r, answers(tag).elicit))
  client.setRequestHandler('roots/list', async (r) => noted(r, answers(tag).roots))
  client.setNotificationHandler('notifications/message', (n) => note(n.method, n.params))
  client.setNotificationHandler('notifications/resources/updated', (n) => note(n.method, n.params))
  const transport = new TransportV2(new URL(url), { requestInit: requestInit(options) })
  await client.connect(transport)
  return {
    tag,
    heard,
    instructions: client.getInstructions() ?? '',
    get session() {
      return transport.sessionId
    },
    tools: async () => (await client.listTools()).tools as { name: string }[],
    call: async (name, args = {}, more = {}) =>
      (await client.callTool({ name, arguments: args }, more)) as Result,
    prompts: async () => (await client.listPrompts()).prompts,
    prompt: async (name, args) =>
      (await client.getPrompt({ name, ...(args ? { arguments: args } : {}) })) as Result,
    resources: async () => (await client.listResources()).resources,
    templates: async () => (await client.listResourceTemplates()).resourceTemplates,
    read: async (uri) => (await client.readResource({ uri })) as Result,
    complete: async (params) =>
      (await client.complete(params as Parameters<typeof client.complete>[0])) as Result,
    level: async (level) => void (await client.setLoggingLevel(level)),
    subscribe: async (uri) => void (await client.subscribeResource({ uri })),
    terminate: () => transport.terminateSession(),
    close: () => client.close(),
  }
}

/** All pages of a list. */
async function paged<K extends string, E>(
  key: K,
  page: (params: { cursor?: string }) => Promise<{ [k in K]: E[] } & { nextCursor?: string | undefined }>,
): Promise<E[]> {
  const all: E[] = []
  let cursor: string | undefined
  do {
    const result = await page(cursor === undefined ? {} : { cursor })
    all.push(...result[key])
    cursor = result.nextCursor
  } while (cursor !== undefined)
  return all
}
