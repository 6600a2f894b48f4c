/**
 * A process of agents: real SDK clients that search, use what they found, now and then in parallel, and think in between.
 * The plan comes over IPC; it ends when all have done their tasks, and says how many calls failed.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { seeded } from '../support/spread.ts'
import type { AgentPlan, ProgramPlan } from './plan.ts'

type ToolClient = {
  listTools(): Promise<unknown>
  callTool(call: { name: string; arguments: Record<string, unknown> }): Promise<unknown>
  close(): Promise<void>
}
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Ids in a message body are replaced on the way out and put back on the way in: the SDKs know numbers only. */
async function withOpaqueId(url: string | URL, init: RequestInit): Promise<Response> {
  const message = JSON.parse(String(init.body)) as { id?: unknown }
  const own = message.id
  if (own === undefined) return fetch(url, init)
  message.id = randomUUID()
  const answer = await fetch(url, { ...init, body: JSON.stringify(message) })
  const text = (await answer.text()).replace(JSON.stringify(message.id), () => JSON.stringify(own))
  return new Response(text, { status: answer.status, headers: answer.headers })
}

class Agent {
  failed = 0
  readonly #plan: AgentPlan
  readonly #headers: Record<string, string>
  readonly #random: () => number
  #truth: string
  #trace = randomBytes(16).toString('hex')
  #found: string[] = []

  constructor(plan: AgentPlan, headers: Record<string, string>) {
    this.#plan = plan
    this.#headers = headers
    this.#random = seeded(plan.seed)
    this.#truth = plan.truth
  }

  #fetch = (url: string | URL, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers)
    for (const [name, value] of Object.entries(this.#headers)) headers.set(name, value)
    headers.set('x-bench-truth', this.#truth)
    if (this.#plan.hasTrace)
      headers.set('traceparent', `00-${this.#trace}-${randomBytes(8).toString('hex')}-01`)
    const send = { ...init, headers }
    return this.#plan.hasOpaqueIds && init.method === 'POST' ? withOpaqueId(url, send) : fetch(url, send)
  }

  async #connect(url: string): Promise<ToolClient> {
    const info = { name: this.#plan.client, version: '1.0.0' }
    const options = { fetch: this.#fetch }
    if (this.#plan.sdk === 'v1') {
      const client = new ClientV1(info)
      await client.connect(new TransportV1(new URL(url), options) as Transport)
      return client as ToolClient
    }
    const client = new Client(info, { versionNegotiation: { mode: 'auto' } })
    await client.connect(new StreamableHTTPClientTransport(new URL(url), options))
    return client as unknown as ToolClient
  }

  async #call(client: ToolClient, name: string, args: Record<string, unknown>): Promise<void> {
    try {
      const result = (await client.callTool({ name, arguments: args })) as { content?: { text?: string }[] }
      const ids = (result.content ?? []).flatMap((c) => c.text?.match(/item-[0-9a-f]{12}/g) ?? [])
      if (ids.length > 0) this.#found = ids
    } catch {
      this.failed++
    }
  }

  /** One thing to do: mostly with what was found before. */
  #pick(): [string, Record<string, unknown>] {
    const known = this.#found[Math.floor(this.#random() * this.#found.length)]
    const dice = this.#random()
    if (known === undefined || dice < (this.#plan.fresh ?? 0.35))
      return ['search', { query: `topic ${Math.floor(dice * 20)}` }]
    return dice < 0.9 ? ['read', { id: known }] : ['status', {}]
  }

  /** Repeats a call that fails, without a thought in between. */
  async #storm(client: ToolClient, times: number): Promise<void> {
    for (let i = 0; i < times; i++) await this.#call(client, 'fail', {})
  }

  async run(): Promise<void> {
    const { steps, think_ms, start_ms, urls, pause, isClientPerCall, storm = 0 } = this.#plan
    const { share, calls } = this.#plan.fanOut ?? { share: 0.2, calls: 3 }
    await sleep(start_ms)
    let clients: ToolClient[] = []
    if (!isClientPerCall) {
      clients = await Promise.all(urls.map((url) => this.#connect(url)))
      for (const client of clients) await client.listTools()
    }
    const use = async (i: number): Promise<void> => {
      const client = isClientPerCall ? await this.#connect(urls[0]!) : clients[i % clients.length]!
      await this.#call(client, ...this.#pick())
      if (isClientPerCall) await client.close()
    }
    for (let step = 0; step < steps; ) {
      // Every now and then several at once.
      const together = !isClientPerCall && this.#random() < share ? calls : 1
      await Promise.all(Array.from({ length: together }, (_, i) => use(step + i)))
      if (storm > 0 && step % 3 === 0) await this.#storm(clients[0]!, storm)
      step += together
      if (pause && step >= pause.after && step < pause.after + together) {
        await sleep(pause.ms)
        if (pause.isNewRun) this.#truth = `${this.#plan.truth}, after the pause`
      } else await sleep(think_ms[0] + this.#random() * (think_ms[1] - think_ms[0]))
    }
    for (const client of clients) await client.close()
  }
}

process.once('message', (message) => {
  const { headers, agents } = message as ProgramPlan
  const all = agents.map((plan) => new Agent(plan, headers))
  const end = (problem: string): void => {
    const failed = all.reduce((sum, agent) => sum + agent.failed, 0)
    process.send?.({ failed, problem }, () => process.disconnect?.())
  }
  Promise.all(all.map((agent) => agent.run())).then(
    () => end(''),
    (error: Error) => end(String(error.stack ?? error)),
  )
})
