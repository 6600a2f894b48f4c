/** The bank's payments and orders as an MCP server over stdio, made with the official SDK (v1). Books live in memory. */
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { z } from 'zod'

const server = new McpServer({ name: 'payments', version: '1.0.0' })
const said = (text: string) => ({ content: [{ type: 'text' as const, text }] })
let booked = 0

server.registerTool(
  'transfer',
  {
    description: 'Transfers money from the account of a customer',
    inputSchema: {
      customer: z.string().regex(/^C-\d{4}$/),
      to_iban: z.string().regex(/^[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}$/),
      amount_eur: z.number().positive(),
    },
    annotations: { destructiveHint: true },
  },
  ({ customer, amount_eur }) => said(`booked T-${++booked}: EUR ${amount_eur.toFixed(2)} from ${customer}`),
)
server.registerTool(
  'place_order',
  {
    description: 'Places an order at the exchange',
    inputSchema: { customer: z.string(), isin: z.string().length(12), quantity: z.number().int().positive() },
    annotations: { destructiveHint: true },
  },
  ({ customer, isin, quantity }) => said(`ordered ${quantity} of ${isin} for ${customer}`),
)
server.registerTool(
  'research_report',
  {
    description: 'Buys a research report on a company',
    inputSchema: { isin: z.string().length(12) },
    annotations: { readOnlyHint: true },
  },
  ({ isin }) => said(`report on ${isin}: hold`),
)
await server.connect(new StdioServerTransport())
