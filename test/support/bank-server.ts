#!/usr/bin/env node
/** A bank as an MCP server over stdio, made with the official SDK: what rules are tried on. */
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { z } from 'zod'

const server = new McpServer(
  { name: 'bank', version: '1.0.0' },
  { instructions: 'The vault is behind the mirror.' },
)
const say = (text: string) => ({ content: [{ type: 'text' as const, text }] })
const account = { account: z.string() }

server.registerTool(
  'get_balance',
  { inputSchema: account, annotations: { readOnlyHint: true } },
  ({ account: of }) => say(`balance of ${of}: 12`),
)
server.registerTool(
  'get_owner',
  { inputSchema: account, annotations: { readOnlyHint: true } },
  ({ account: of }) => say(`owner of ${of}`),
)
server.registerTool('transfer', { inputSchema: { amount: z.number(), to: z.string() } }, ({ amount, to }) =>
  say(`${amount} to ${to}`),
)
server.registerTool(
  'close_account',
  { inputSchema: account, annotations: { destructiveHint: true } },
  ({ account: of }) => say(`closed ${of}`),
)
for (const name of ['summary', 'audit'])
  server.registerPrompt(name, {}, () => ({
    messages: [{ role: 'user', content: { type: 'text', text: name } }],
  }))
for (const area of ['public', 'private'])
  server.registerResource(area, `bank://${area}/rates`, {}, (uri) => ({
    contents: [{ uri: uri.href, text: area }],
  }))
server.registerResource(
  'file',
  new ResourceTemplate('bank://private/{name}', { list: undefined }),
  {},
  (uri) => ({
    contents: [{ uri: uri.href, text: 'private file' }],
  }),
)
await server.connect(new StdioServerTransport())
