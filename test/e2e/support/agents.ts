/** Agents at work: real SDK clients that call tools in rounds, until told to stop. No two calls of one have the same arguments. */
import { setTimeout as pause } from 'node:timers/promises'
import { connect, type Kind, type TestClient } from './clients.ts'

/** A server may be silent for long: whoever waits for it waits on. */
const PATIENCE_MS = 600_000

export type Agent = { readonly client: TestClient; stop(): Promise<void> }
export type Work = {
  kind: Kind
  url: string
  name: string
  key: string
  /** Tools called at once in a round; the round ends when all have answered. */
  tools: readonly string[]
  pause_ms: number
  /** Says the same thing in every call. */
  isLooping?: boolean
}

/** Connects and begins. Whatever a server answers, the agent goes on; `stop` resolves when its last round is over. */
export async function startAgent({ kind, url, name, key, tools, pause_ms, isLooping }: Work): Promise<Agent> {
  const client = await connect(kind, { url, key, tag: name })
  await client.tools()
  let isStopped = false
  let calls = 0
  const call = async (tool: string): Promise<void> => {
    const id = isLooping ? 'the same' : `${name}-${calls++}`
    await client.call(tool, { id }, { timeout: PATIENCE_MS }).catch(() => {})
  }
  const rounds = (async () => {
    while (!isStopped) {
      await Promise.all(tools.map(call))
      await pause(pause_ms)
    }
  })()
  return {
    client,
    async stop() {
      isStopped = true
      await rounds
      await client.close()
    },
  }
}
