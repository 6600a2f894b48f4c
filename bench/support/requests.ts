/** The HTTP requests a scenario sends: a tools/call of 640 bytes and ten headers, in both eras. */
import { writeFileSync } from 'node:fs'

/** Stands for the JSON-RPC id; the load generator puts a fresh number of the same width there. */
const ID = '7777777'
export const BODY_BYTES = 640
const VERSION = { legacy: '2025-11-25', modern: '2026-07-28' } as const
export type Era = keyof typeof VERSION

const WORDS =
  'Please look up the balance of account 4711 and tell me whether the rent of this month has left it. '

/** A tools/call of exactly `bytes` bytes. */
export function toolsCall(tool: string, era: Era, bytes = BODY_BYTES): string {
  const meta =
    era === 'modern'
      ? {
          _meta: {
            'io.modelcontextprotocol/protocolVersion': VERSION.modern,
            'io.modelcontextprotocol/clientInfo': { name: 'weir-bench', version: '1.0.0' },
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        }
      : {}
  const body = (text: string): string =>
    `{"jsonrpc":"2.0","id":${ID},"method":"tools/call","params":${JSON.stringify({ ...meta, name: tool, arguments: { account: 4711, currency: 'EUR', text } })}}`
  const room = bytes - body('').length
  return body(WORDS.repeat(Math.ceil(room / WORDS.length)).slice(0, room))
}

export type RequestOptions = { url: string; key: string; tool: string; era: Era; session?: string }

/** A whole HTTP/1.1 request. */
export function httpRequest({ url, key, tool, era, session }: RequestOptions): string {
  const at = new URL(url)
  const body = toolsCall(tool, era)
  const headers = [
    ['Host', at.host],
    ['User-Agent', 'weir-bench/1.0'],
    ['Accept', 'application/json, text/event-stream'],
    ['Accept-Language', '*'],
    ['Accept-Encoding', 'gzip, deflate'],
    ['Content-Type', 'application/json'],
    ['Content-Length', String(Buffer.byteLength(body))],
    ['Authorization', `Bearer ${key}`],
    ['MCP-Protocol-Version', VERSION[era]],
    ...(era === 'modern'
      ? [
          ['Mcp-Method', 'tools/call'],
          ['Mcp-Name', tool],
        ]
      : []),
    ...(session ? [['Mcp-Session-Id', session]] : []),
  ]
  return `POST ${at.pathname} HTTP/1.1\r\n${headers.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n${body}`
}

/** Writes requests to a file as load/mcp.lua reads them. */
export const writeRequests = (file: string, requests: readonly string[]): void =>
  writeFileSync(file, requests.map((r) => `${r}\0`).join(''))

/** Opens a legacy session; resolves with its id, '' when the server gives none. */
export async function openSession(url: string, key: string): Promise<string> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    authorization: `Bearer ${key}`,
    'mcp-protocol-version': VERSION.legacy,
  }
  const answer = await fetch(url, {
    method: 'POST',
    headers,
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: {
        protocolVersion: VERSION.legacy,
        capabilities: {},
        clientInfo: { name: 'weir-bench', version: '1.0.0' },
      },
    }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`initialize at ${url}: HTTP ${answer.status} ${text.slice(0, 300)}`)
  const session = answer.headers.get('mcp-session-id') ?? ''
  await fetch(url, {
    method: 'POST',
    headers: { ...headers, ...(session ? { 'mcp-session-id': session } : {}) },
    body: '{"jsonrpc":"2.0","method":"notifications/initialized"}',
  }).then((a) => a.arrayBuffer())
  return session
}

/** One call, looked at closely: rejects unless it is answered with a result under its own id. */
export async function proveCall(request: string): Promise<void> {
  const [head, body] = request.split('\r\n\r\n') as [string, string]
  const lines = head.split('\r\n')
  const headers = Object.fromEntries(
    lines.slice(1).map((l) => {
      const at = l.indexOf(': ')
      return [l.slice(0, at).toLowerCase(), l.slice(at + 2)]
    }),
  )
  const { host, 'content-length': _, 'accept-encoding': __, ...rest } = headers
  const answer = await fetch(`http://${host}${lines[0]!.split(' ')[1]}`, {
    method: 'POST',
    headers: rest,
    body,
  })
  const text = await answer.text()
  if (answer.status !== 200 || !text.includes(`"id":${ID}`) || !text.includes('"result"'))
    throw new Error(`the call to ${host} failed: HTTP ${answer.status} ${text.slice(0, 400)}`)
}
