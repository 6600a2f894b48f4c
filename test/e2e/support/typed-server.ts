/**
 * A server whose tools have schemas, by the low-level server of the SDK, so that schemas and results are exactly these:
 * `node typed-server.ts <port>` speaks both eras over HTTP at /mcp (SDK v2), without a port the legacy one over stdio
 * (SDK v1). Each result says how many calls have reached it. `POST /_schema` makes `note` ask for a number.
 */
import { createServer, type RequestListener } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { createMcpHandler, Server } from '@modelcontextprotocol/server'

const TRANSFER = {
  type: 'object' as const,
  properties: {
    to: { type: 'string', pattern: '^[A-Z]{2}[0-9]{2,30}$' },
    amount: { type: 'number', exclusiveMinimum: 0 },
    memo: { type: 'string', pattern: '^[^<>]*$' },
  },
  required: ['to', 'amount'],
  additionalProperties: false,
}
const BALANCE = {
  type: 'object' as const,
  properties: { balance: { type: 'number' }, currency: { enum: ['EUR', 'CHF'] } },
  required: ['balance'],
}
const anything = { type: 'object' as const }
let isChanged = false
let calls = 0

const tools = () => [
  { name: 'transfer', inputSchema: TRANSFER },
  { name: 'balance', inputSchema: anything, outputSchema: BALANCE },
  {
    name: 'note',
    inputSchema: { type: 'object' as const, properties: { text: { type: isChanged ? 'number' : 'string' } } },
  },
  { name: 'odd', inputSchema: { type: 'object' as const, $ref: 'http://127.0.0.1:9/none.json' } },
]

/** `balance` answers with what it is asked to answer with. */
function call(name: string, args: Record<string, unknown>): Record<string, unknown> {
  const text = `${name} is call ${++calls}`
  const content = [{ type: 'text', text }]
  if (name !== 'balance') return { content }
  if (args.fails) return { content, isError: true }
  return { content, ...(args.answer === undefined ? {} : { structuredContent: args.answer }) }
}

const port = process.argv[2]
if (port === undefined) {
  const server = new ServerV1({ name: 'typed', version: '1.0.0' }, { capabilities: { tools: {} } })
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools() }))
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => call(params.name, params.arguments ?? {}))
  await server.connect(new StdioServerTransport())
} else {
  const build = (): Server => {
    const server = new Server({ name: 'typed', version: '1.0.0' }, { capabilities: { tools: {} } })
    server.setRequestHandler('tools/list', () => ({ tools: tools() }) as never)
    server.setRequestHandler(
      'tools/call',
      ({ params }) => call(params.name, (params.arguments ?? {}) as Record<string, unknown>) as never,
    )
    return server
  }
  const handler = toNodeHandler(createMcpHandler(build)) as RequestListener
  createServer((req, res) => {
    if (req.url !== '/_schema') return void handler(req, res)
    isChanged = true
    res.end()
  }).listen(Number(port), '127.0.0.1')
}
