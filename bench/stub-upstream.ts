/**
 * The stub server where there is no Go to build stub-upstream/main.go: same answers, some ten times the cost.
 * CPU figures of the proxy stay true with it; calls/s and latency then tell of the stub as much.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const WORDS = 'The balance of account 4711 is 1,204.50 EUR as of this morning. '

function padded(id: string, size: number, blocks: number): string {
  const fixed = `{"jsonrpc":"2.0","id":1000000,"result":{"content":[],"isError":false}}`.length
  let room = size - fixed - (blocks - 1)
  const content: string[] = []
  for (let i = 0; i < blocks; i++) {
    const take = Math.floor(room / (blocks - i))
    room -= take
    const text = WORDS.repeat(Math.ceil(take / WORDS.length)).slice(
      0,
      take - '{"type":"text","text":""}'.length,
    )
    content.push(`{"type":"text","text":"${text}"}`)
  }
  return `{"jsonrpc":"2.0","id":${id},"result":{"content":[${content.join(',')}],"isError":false}}`
}

const echoOf = padded('@', 781, 1).split('@') as [string, string]
const bigOf = padded('@', 99_994, 20).split('@') as [string, string]
const progress = (n: number): string =>
  `event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":${n},"total":3,"message":"step"}}\n\n`
let sessions = 0

type Answer = { type: string; body: string; headers?: Record<string, string> }

function answerOf(text: string, id: string): Answer {
  const type = 'application/json'
  const result = (json: string): Answer => ({ type, body: `{"jsonrpc":"2.0","id":${id},"result":${json}}` })
  if (text.includes('"method":"tools/call"')) {
    if (text.includes('"name":"big"')) return { type, body: bigOf.join(id) }
    if (!text.includes('"name":"events"')) return { type, body: echoOf.join(id) }
    const last = `event: message\ndata: ${echoOf.join(id)}\n\n`
    return { type: 'text/event-stream', body: progress(1) + progress(2) + last }
  }
  if (text.includes('"method":"initialize"'))
    return {
      ...result(
        '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"stub","version":"1"}}',
      ),
      headers: { 'mcp-session-id': `stub-${++sessions}` },
    }
  if (text.includes('"method":"server/discover"'))
    return result(
      '{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{"tools":{}},"serverInfo":{"name":"stub","version":"1"}}',
    )
  if (text.includes('"method":"tools/list"'))
    return result(
      `{"tools":[${['echo', 'big', 'events'].map((n) => `{"name":"${n}","inputSchema":{"type":"object"}}`).join(',')}]}`,
    )
  if (text.includes('"method":"ping"')) return result('{}')
  return { type, body: `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601,"message":"Method not found"}}` }
}

const server = createServer({ keepAliveTimeout: 75_000 }, (req, res) => {
  if (req.method === 'GET') return res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
  if (req.method !== 'POST') return void res.writeHead(200, { 'content-length': 0 }).end()
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    const text = Buffer.concat(chunks).toString()
    const id = /"id":\s*("[^"]*"|-?\d+)/.exec(text)?.[1]
    if (id === undefined) return void res.writeHead(202, { 'content-length': 0 }).end()
    const { type, body, headers } = answerOf(text, id)
    const length = type.startsWith('text/') ? {} : { 'content-length': Buffer.byteLength(body) }
    res.writeHead(200, { 'content-type': type, ...length, ...headers }).end(body)
  })
})
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`),
)
