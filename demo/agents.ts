/**
 * Two agents as they are in practice: they list tools, read, compute, remember, fail and try again.
 * Each runs the official SDK client against one URL and knows nothing of Weir.
 */
import { randomBytes } from 'node:crypto'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

type Tools = { call(name: string, args: Record<string, unknown>): Promise<string> }

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Connects an agent, runs its work, closes. The labels travel as headers; the trace as the agent's own context. */
async function asAgent(
  url: string,
  name: string,
  run: string,
  work: (tools: Tools, client: Client) => Promise<void>,
): Promise<void> {
  const client = new Client({ name, version: '1.4.0' })
  const trace = randomBytes(16).toString('hex')
  await client.connect(
    new StreamableHTTPClientTransport(new URL(url), {
      requestInit: {
        headers: { 'x-weir-agent': name, 'x-weir-run': run, 'x-weir-project': 'autumn-review' },
      },
    }),
  )
  const tools: Tools = {
    async call(tool, args) {
      // The agent's own span for this step: Weir's spans become its children.
      const traceparent = `00-${trace}-${randomBytes(8).toString('hex')}-01`
      await pause(20 + Math.random() * 60)
      try {
        const result = await client.callTool({ name: tool, arguments: args, _meta: { traceparent } })
        const [first] = result.content as { type: string; text?: string }[]
        return first?.text ?? ''
      } catch (error) {
        return `error: ${(error as Error).message}`
      }
    },
  }
  await client.listTools()
  await work(tools, client)
  await client.close()
}

/** Reads the orders, totals them, notes what it found. */
export const analyst = (url: string, folder: string, desk: string, run: string): Promise<void> =>
  asAgent(url, 'analyst', run, async ({ call }) => {
    await call('files_list_directory', { path: folder })
    const orders = await call('files_read_text_file', { path: `${folder}/orders.csv` })
    await call('files_read_text_file', { path: `${folder}/policy.md` })
    const totals = new Map<string, number>()
    for (const line of orders.trim().split('\n').slice(1)) {
      const [, customer, , quantity, price] = line.split(',')
      const sum = Number(quantity) * Number(price)
      await call('everything_get-sum', { a: totals.get(customer!) ?? 0, b: sum })
      totals.set(customer!, (totals.get(customer!) ?? 0) + sum)
    }
    // A path outside the allowed folders: the server refuses, the agent tries the right one.
    await call('files_read_text_file', { path: '/etc/hostname' })
    await call('files_read_text_file', { path: `${folder}/customers.md` })
    await call('memory_create_entities', {
      entities: [...totals].map(([customer, total]) => ({
        name: customer,
        entityType: 'customer',
        observations: [`ordered for ${total.toFixed(2)} EUR in September`],
      })),
    })
    await call('files_write_file', {
      path: `${desk}/september.md`,
      content: [...totals].map(([c, t]) => `- ${c}: ${t.toFixed(2)} EUR`).join('\n'),
    })
  })

/** Asks the memory, waits for a slow tool, calls one that does not exist, and repeats itself. */
export const reporter = (url: string, desk: string, run: string): Promise<void> =>
  asAgent(url, 'reporter', run, async ({ call }, client) => {
    await call('memory_read_graph', {})
    for (const query of ['Brook', 'Millpond', 'Fenland']) await call('memory_search_nodes', { query })
    await call('everything_get-structured-content', { location: 'New York' })
    await client
      .callTool(
        { name: 'everything_trigger-long-running-operation', arguments: { duration: 1, steps: 4 } },
        undefined,
        { onprogress: () => {} },
      )
      .catch(() => {})
    await call('everything_send-invoice', { customer: 'Millpond GmbH' })
    for (let i = 0; i < 3; i++) await call('everything_echo', { message: 'is the report ready?' })
    await call('files_read_text_file', { path: `${desk}/september.md` })
    await client.listPrompts()
    await client.listResources()
  })
