/**
 * A server made with an SDK that tells which trace context it was given: `node trace-server.ts <legacy|modern> [port]`,
 * without a port over stdio. Legacy: SDK v1; modern: SDK v2, which refuses legacy clients.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { McpServer as LegacyServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { LEGACY_VERSION, MODERN_VERSION } from '../../../proxy/mcp/versions.ts'

const [era, port] = process.argv.slice(2)
const INFO = { name: `trace-${era}`, version: '1' }
const version = era === 'modern' ? MODERN_VERSION : LEGACY_VERSION
const told = (meta: unknown, headers: { traceparent?: unknown; tracestate?: unknown }) => {
  const { traceparent, tracestate } = (meta ?? {}) as { traceparent?: unknown; tracestate?: unknown }
  const said = {
    version,
    meta: traceparent,
    meta_state: tracestate,
    header: headers.traceparent,
    header_state: headers.tracestate,
  }
  return { content: [{ type: 'text' as const, text: JSON.stringify(said) }] }
}

function modern(): McpServer {
  const server = new McpServer(INFO)
  server.registerTool('context', {}, async (ctx) =>
    told(ctx.mcpReq._meta, Object.fromEntries(ctx.http?.req?.headers ?? [])),
  )
  return server
}
function legacy(): LegacyServer {
  const server = new LegacyServer(INFO)
  server.registerTool('context', {}, async (extra) => told(extra._meta, extra.requestInfo?.headers ?? {}))
  return server
}

if (era === 'modern' && port === undefined) serveStdio(modern, { legacy: 'reject' })
else if (era === 'modern') {
  const serve = toNodeHandler(createMcpHandler(modern, { legacy: 'reject' }))
  createServer(serve as RequestListener).listen(Number(port), '127.0.0.1')
} else if (port === undefined) await legacy().connect(new StdioServerTransport() as never)
else {
  const sessions = new Map<string, StreamableHTTPServerTransport>()
  createServer(async (req, res) => {
    let transport = sessions.get(String(req.headers['mcp-session-id']))
    if (!transport) {
      const opened: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => void sessions.set(id, opened),
      })
      await legacy().connect(opened as never)
      transport = opened
    }
    await transport.handleRequest(req, res)
  }).listen(Number(port), '127.0.0.1')
}
