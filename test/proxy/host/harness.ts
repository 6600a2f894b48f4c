/** A host on a socket of its own, and a bare HTTP client over it that sees every byte. Nothing here knows sessions. */
import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Host } from '../../../proxy/host/host.ts'
import { Log } from '../../../proxy/host/log.ts'
import type { HostedServer } from '../../../proxy/host/options.ts'

export const FIXTURE = join(import.meta.dirname, 'fixtures/stdio-server.ts')

export const server = (command: string[], more: Partial<HostedServer> = {}): HostedServer => ({
  command,
  args: [],
  env: {},
  headers: {},
  credentials: {},
  era: 'auto',
  isolation: 'caller',
  processes_max: 8,
  instances: 1,
  idle_timeout_ms: 600_000,
  timeout_ms: 20_000,
  timeout_max_ms: 60_000,
  ...more,
})

/** The fixture server with flags. */
export const fixture = (flags: string[] = [], more: Partial<HostedServer> = {}): HostedServer =>
  server([process.execPath, FIXTURE, ...flags], more)

// biome-ignore lint/suspicious/noExplicitAny: tests look into free JSON
export type Loose = Record<string, any>

export type Answer = {
  status: number
  headers: IncomingHttpHeaders
  text: string
  messages: Loose[]
}

/** An answer that is read while it comes. */
export type Stream = {
  status: number
  headers: IncomingHttpHeaders
  /** The next event's data as text; null at the end. */
  next(): Promise<string | null>
  /** Everything that came. */
  raw(): string
  /** The id of the last event that came whole, '' while there is none. */
  lastId(): string
  close(): void
  pause(): void
  resume(): void
}

export type Harness = {
  host: Host
  socket: string
  log: string[]
  servers: Record<string, HostedServer>
  reload(servers: Record<string, HostedServer>): void
  send(
    server: string,
    body: string | object,
    headers?: Record<string, string>,
    method?: string,
  ): Promise<Answer>
  open(server: string, body: string | object | null, headers?: Record<string, string>): Promise<Stream>
  close(): Promise<void>
}

export const PLAIN = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' }

export async function startHost(
  servers: Record<string, HostedServer>,
  env: Record<string, string | undefined> = process.env,
): Promise<Harness> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-host-'))
  const socket = join(folder, 'host.sock')
  const log: string[] = []
  const host = new Host(env, new Log('debug', (line) => log.push(line)))
  const options = { socket, log_level: 'debug' as const, drain_timeout_ms: 2000 }
  await host.start({ ...options, servers })
  const dial = (
    name: string,
    method: string,
    body: string | object | null,
    headers: Record<string, string>,
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const all = { ...PLAIN, 'weir-principal': 'alice', ...headers }
      const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
      const path = `/servers/${name}/mcp`
      const outgoing = request({ socketPath: socket, path, method, headers: given, agent: false }, resolve)
      outgoing.on('error', reject)
      outgoing.end(body === null ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
    })
  return {
    host,
    socket,
    log,
    servers,
    reload: (next) => host.reload({ ...options, servers: next }),
    async send(name, body, headers = {}, method = 'POST') {
      const answer = await dial(name, method, method === 'POST' ? body : null, headers)
      answer.setEncoding('utf8')
      let text = ''
      for await (const chunk of answer) text += chunk
      return {
        status: answer.statusCode ?? 0,
        headers: answer.headers,
        text,
        messages: messagesOf(answer, text),
      }
    },
    async open(name, body, headers = {}) {
      return streamOf(await dial(name, body === null ? 'GET' : 'POST', body, headers))
    },
    async close() {
      await host.drain()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function messagesOf(answer: IncomingMessage, text: string): Answer['messages'] {
  if (text === '') return []
  if (!answer.headers['content-type']?.startsWith('text/event-stream')) return [JSON.parse(text)].flat()
  return eventsOf(text).map((event) => JSON.parse(event))
}

/** The data of the events in a whole stream. */
export const eventsOf = (text: string): string[] =>
  text
    .split('\n\n')
    .filter((block) => block.startsWith('event: message\n'))
    .map((block) => block.slice(block.indexOf('data: ') + 'data: '.length))

function streamOf(answer: IncomingMessage): Stream {
  const ready: (string | null)[] = []
  const asking: ((event: string | null) => void)[] = []
  let text = ''
  let raw = ''
  const give = (event: string | null): void => {
    const asker = asking.shift()
    if (asker) asker(event)
    else ready.push(event)
  }
  answer.setEncoding('utf8')
  answer.on('data', (chunk: string) => {
    text += chunk
    raw += chunk
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const event of eventsOf(blocks.join('\n\n'))) give(event)
  })
  answer.on('error', () => {})
  answer.on('close', () => give(null))
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    next: () => {
      const event = ready.shift()
      return event === undefined ? new Promise((resolve) => asking.push(resolve)) : Promise.resolve(event)
    },
    raw: () => raw,
    lastId: () => [...raw.slice(0, raw.lastIndexOf('\n\n')).matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? '',
    close: () => answer.destroy(),
    pause: () => answer.pause(),
    resume: () => answer.resume(),
  }
}

export const initialize = (more: object = {}, id: unknown = 1): object => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
    ...more,
  },
})
export const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' }

export const call = (name: string, args: object = {}, id: unknown = 2, meta?: object): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args, ...(meta && { _meta: meta }) },
})

/** Opens a session; the headers that stand for it. */
export async function openSession(
  harness: Harness,
  name: string,
  principal = 'alice',
  more: object = {},
): Promise<Record<string, string>> {
  const answer = await harness.send(name, initialize(more), { 'weir-principal': principal })
  if (answer.status !== 200 || !answer.headers['mcp-session-id'])
    throw new Error(`no session: ${answer.text}`)
  const headers = {
    'weir-principal': principal,
    'mcp-session-id': String(answer.headers['mcp-session-id']),
    'mcp-protocol-version': '2025-11-25',
  }
  await harness.send(name, INITIALIZED, headers)
  return headers
}

/** The text a fixture tool answered. */
export const textOf = (answer: Answer): string => answer.messages.at(-1)?.result?.content?.[0]?.text

export const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
}

/** A modern request and its headers. */
export function modern(
  method: string,
  params: Record<string, unknown> = {},
  id: unknown = 1,
  meta: object = {},
): { body: object; headers: Record<string, string> } {
  const name = params.name ?? params.uri
  return {
    body: { jsonrpc: '2.0', id, method, params: { ...params, _meta: { ...META, ...meta } } },
    headers: {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' && { 'mcp-name': name }),
    },
  }
}

/** Waits until `claim` holds. For what has no event to wait for; fails after ten seconds. */
export async function until(claim: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (await claim()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it did not come true in ten seconds')
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
