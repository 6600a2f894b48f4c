/**
 * The bank's customer data as an MCP server over stdio, both eras, made with the official SDK. One tool reads and changes
 * records: which of it a caller may do is a matter of its arguments, and so of a rule. Data lives in memory.
 */
import { McpServer } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { z } from 'zod'

const customer = z.object({
  id: z.string(),
  name: z.string(),
  segment: z.enum(['private', 'wealth']),
  risk_profile: z.enum(['defensive', 'balanced', 'growth']),
  iban: z.string(),
})
type Customer = z.infer<typeof customer>

const customers = new Map<string, Customer>(
  (
    [
      ['C-1001', 'Ada Lindqvist', 'wealth', 'balanced', 'DE89370400440532013000'],
      ['C-1002', 'Bruno Keller', 'private', 'defensive', 'CH9300762011623852957'],
      ['C-1003', 'Chiara Fontana', 'wealth', 'growth', 'FR1420041010050500013M02606'],
    ] as const
  ).map(([id, name, segment, risk_profile, iban]) => [id, { id, name, segment, risk_profile, iban }]),
)
const failed = (text: string) => ({ content: [{ type: 'text' as const, text }], isError: true })
const given = (value: Record<string, unknown>) => ({
  content: [{ type: 'text' as const, text: JSON.stringify(value) }],
  structuredContent: value,
})

serveStdio(() => {
  const server = new McpServer({ name: 'customers', version: '1.0.0' })
  server.registerTool(
    'find_customer',
    {
      description: 'Finds customers by a part of their name',
      inputSchema: z.object({ name: z.string().min(2) }),
      outputSchema: z.object({ customers: z.array(customer.pick({ id: true, name: true, segment: true })) }),
      annotations: { readOnlyHint: true },
    },
    ({ name }) => {
      const wanted = name.toLowerCase()
      const found = [...customers.values()].filter((one) => one.name.toLowerCase().includes(wanted))
      return given({ customers: found.map(({ id, name, segment }) => ({ id, name, segment })) })
    },
  )
  server.registerTool(
    'customer_record',
    {
      description: 'Reads a customer record, or sets one field of it',
      inputSchema: z.object({
        action: z.enum(['read', 'update']),
        customer: z.string().regex(/^C-\d{4}$/),
        field: z.enum(['segment', 'risk_profile']).optional(),
        value: z.string().optional(),
      }),
      outputSchema: customer,
      annotations: { destructiveHint: true },
    },
    ({ action, customer: id, field, value }) => {
      const record = customers.get(id)
      if (!record) return failed(`there is no customer ${id}`)
      if (action === 'read') return given(record)
      const changed = customer.safeParse({ ...record, ...(field && { [field]: value }) })
      if (!changed.success) return failed(`${field} cannot be ${value}`)
      customers.set(id, changed.data)
      return given(changed.data)
    },
  )
  return server
})
