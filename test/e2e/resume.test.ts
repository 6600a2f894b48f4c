/** The official clients lose their connections to a whole installation, and come back for the rest by themselves. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FIXTURE } from '../proxy/host/harness.ts'
import { type Observed, startObserved } from './support/observed.ts'

let weir: Observed
let door: Server
let cut: () => void
let url: URL
beforeAll(async () => {
  weir = await startObserved({
    servers: { one: { command: [process.execPath, FIXTURE], isolation: 'shared' } },
  })
  const sockets = new Set<Socket>()
  door = createServer((near) => {
    const far = connect(weir.port, 'localhost')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => door.listen(0, 'localhost', resolve))
  cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  url = new URL(`http://localhost:${(door.address() as { port: number }).port}/servers/one/mcp`)
})
afterAll(async () => {
  cut?.()
  await new Promise((resolve) => door?.close(resolve))
  await weir?.stop()
})

const WHO = { name: 'test', version: '1' }
/** What both generations of clients have in common here. */
type Caller = {
  listTools(): Promise<unknown>
  callTool(
    params: { name: string; arguments: Record<string, unknown> },
    onprogress?: (p: { progress: number }) => void,
  ): Promise<unknown>
  close(): Promise<void>
}
async function old(url: URL): Promise<Caller> {
  const client = new OldClient(WHO)
  await client.connect(new OldTransport(url) as Parameters<OldClient['connect']>[0])
  return {
    listTools: () => client.listTools(),
    callTool: (params, onprogress) =>
      client.callTool(params, undefined, { ...(onprogress && { onprogress }), resetTimeoutOnProgress: true }),
    close: () => client.close(),
  }
}
async function current(url: URL): Promise<Caller> {
  const client = new Client(WHO, { versionNegotiation: { mode: 'legacy' } })
  await client.connect(new StreamableHTTPClientTransport(url))
  return {
    listTools: () => client.listTools(),
    callTool: (params, onprogress) => client.callTool(params, { ...(onprogress && { onprogress }) }),
    close: () => client.close(),
  }
}

test.each([
  ['SDK 1', old],
  ['SDK 2', current],
])('%s gets the answer of a call whose stream was cut', { timeout: 30_000 }, async (_name, open) => {
  // The one that lets the call be answered has a connection that is not cut.
  const [client, other] = [await open(url), await open(new URL(`${weir.url}/servers/one/mcp`))]
  const seen: number[] = []
  let began!: () => void
  const hasBegun = new Promise<void>((resolve) => {
    began = resolve
  })
  const called = client.callTool({ name: 'steps', arguments: { by: _name } }, ({ progress }) => {
    seen.push(progress)
    began()
  })
  await hasBegun
  cut()
  await other.callTool({ name: 'release', arguments: {} })
  expect(JSON.stringify(await called)).toContain('done')
  expect(seen).toEqual([1, 2])
  await client.close()
  await other.close()
  // One call, one event: the client had left when the first answer ended.
  const events = (await weir.events(`tool = 'steps'`)).filter((row) => row.client_name === 'test')
  expect(events.at(-1)).toMatchObject({ outcome: 'cancelled', error_type: 'client_gone' })
  expect(events).toHaveLength(_name === 'SDK 1' ? 1 : 2)
})
