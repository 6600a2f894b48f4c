/**
 * The scripted agents: the day of a relationship manager's agent, and a glance of the operations agent, through the official
 * SDK client. They know nothing of rules: they try, are told, and say what they were told.
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

/** What became of one step, as the agent saw it. */
export type Step = {
  readonly agent: string
  readonly what: string
  readonly isDone: boolean
  readonly told: string
}
type Told = (step: Step) => void

/** The SDK puts a whole JSON-RPC error into its message when it came with an HTTP status. */
function reasonOf(message: string): string {
  const at = message.indexOf('{"jsonrpc"')
  if (at < 0) return message
  const { error } = JSON.parse(message.slice(at)) as {
    error: { message: string; data?: { limit?: { name: string }; resets_at?: string } }
  }
  const { limit, resets_at } = error.data ?? {}
  return `${error.message}${limit ? ` (${limit.name}${resets_at ? `, resets at ${resets_at}` : ''})` : ''}`
}

async function asAgent(
  url: string,
  name: string,
  key: string,
  told: Told,
  day: (
    step: (what: string, tool: string, args: Record<string, unknown>) => Promise<boolean>,
    tools: readonly string[],
  ) => Promise<void>,
): Promise<void> {
  const client = new Client({ name, version: '1.0.0' })
  const headers = { authorization: `Bearer ${key}`, 'x-weir-agent': name }
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }))
  const step = async (what: string, tool: string, args: Record<string, unknown>): Promise<boolean> => {
    try {
      const { content, isError } = await client.callTool({ name: tool, arguments: args })
      const [first] = content as { text?: string }[]
      told({ agent: name, what, isDone: !isError, told: first?.text ?? '' })
      return !isError
    } catch (error) {
      told({ agent: name, what, isDone: false, told: reasonOf((error as Error).message) })
      return false
    }
  }
  const { tools } = await client.listTools()
  await day(
    step,
    tools.map((tool) => tool.name),
  )
  await client.close()
}

/** A day at the desk, with everything that can be refused in it. */
export const relationshipManager = (url: string, key: string, told: Told): Promise<void> =>
  asAgent(url, 'rm-agent', key, told, async (step) => {
    await step('finds Ada', 'customers_find_customer', { name: 'Ada' })
    await step('reads her record', 'customers_customer_record', { action: 'read', customer: 'C-1001' })
    await step('changes her risk profile', 'customers_customer_record', {
      action: 'update',
      customer: 'C-1001',
      field: 'risk_profile',
      value: 'growth',
    })
    await step('pays her rent, to a name', 'payments_transfer', {
      customer: 'C-1001',
      to_iban: 'her landlord',
      amount_eur: 800,
    })
    await step('pays her rent, corrected', 'payments_transfer', {
      customer: 'C-1001',
      to_iban: 'DE02120300000000202051',
      amount_eur: 800,
    })
    await step('pays for a boat', 'payments_transfer', {
      customer: 'C-1001',
      to_iban: 'DE02120300000000202051',
      amount_eur: 48_000,
    })
    for (const part of ['a first', 'a second', 'a third'])
      await step(`pays ${part} small bill`, 'payments_transfer', {
        customer: 'C-1001',
        to_iban: 'DE02120300000000202051',
        amount_eur: 20,
      })
    await step('buys shares', 'payments_place_order', {
      customer: 'C-1001',
      isin: 'US0378331005',
      quantity: 3,
    })
    for (const isin of ['US0378331005', 'DE0007164600', 'CH0038863350'])
      await step(`buys research on ${isin}`, 'payments_research_report', { isin })
    // An agent in a loop.
    for (let i = 1; i <= 8; i++)
      await step(`looks for Chiara, time ${i}`, 'customers_find_customer', { name: 'Chiara' })
  })

/** Reads what it may, and tries a tool that it was never shown. */
export const operations = (url: string, key: string, told: Told): Promise<void> =>
  asAgent(url, 'ops-agent', key, told, async (step, tools) => {
    told({ agent: 'ops-agent', what: 'lists its tools', isDone: true, told: tools.join(', ') })
    await step('finds Bruno', 'customers_find_customer', { name: 'Bruno' })
    await step('pays itself', 'payments_transfer', {
      customer: 'C-1002',
      to_iban: 'DE02120300000000202051',
      amount_eur: 10,
    })
  })
