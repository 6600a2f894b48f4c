/** The official clients, both generations, against real servers behind the host. */
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CreateMessageRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { goServer } from './go-server.ts'
import { type Harness, server, startHost } from './harness.ts'
import { type Relay, startRelay } from './relay.ts'

const packages = join(import.meta.dirname, '../../../node_modules/@modelcontextprotocol')
const folder = mkdtempSync(join(tmpdir(), 'weir-files-'))
const node = (path: string, ...args: string[]) => server([process.execPath, join(packages, path), ...args])

let harness: Harness
let relay: Relay
beforeAll(async () => {
  writeFileSync(join(folder, 'hello.txt'), 'hello from a file')
  harness = await startHost({
    everything: node('server-everything/dist/index.js', 'stdio'),
    files: node('server-filesystem/dist/index.js', folder),
    memory: {
      ...node('server-memory/dist/index.js'),
      env: { MEMORY_FILE_PATH: join(folder, 'memory.json') },
    },
    ...(existsSync(goServer) && { go: server([goServer]) }),
  })
  relay = await startRelay(harness.socket)
})
afterAll(async () => {
  await relay.close()
  await harness.close()
})

const url = (name: string): URL => new URL(relay.url(name))
const WHO = { name: 'test', version: '1' }

describe('SDK 1', () => {
  const connect = async (name: string, client: OldClient): Promise<OldTransport> => {
    const transport = new OldTransport(url(name))
    // Its types were not written for exactOptionalPropertyTypes.
    await client.connect(transport as Parameters<OldClient['connect']>[0])
    return transport
  }

  test('lists, calls, hears progress, is asked for a sample', async () => {
    const client = new OldClient(WHO, { capabilities: { sampling: {} } })
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      model: 'none',
      role: 'assistant',
      content: { type: 'text', text: 'sampled' },
    }))
    const transport = await connect('everything', client)
    expect((await client.listTools()).tools.map((tool) => tool.name)).toContain('echo')
    expect((await client.callTool({ name: 'echo', arguments: { message: 'für' } })).content).toEqual([
      { type: 'text', text: 'Echo: für' },
    ])
    const progress: number[] = []
    const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 2 } }
    await client.callTool(long, undefined, { onprogress: (p) => progress.push(p.progress) })
    expect(progress).toEqual([1, 2])
    const sampled = await client.callTool({
      name: 'trigger-sampling-request',
      arguments: { prompt: 'x', maxTokens: 5 },
    })
    expect(JSON.stringify(sampled.content)).toContain('sampled')
    await transport.terminateSession()
    await client.close()
  })

  test('is asked for its roots right after the start', async () => {
    const client = new OldClient(WHO, { capabilities: { roots: {} } })
    const asked = new Promise<void>((resolve) => {
      client.setRequestHandler(ListRootsRequestSchema, () => {
        resolve()
        return { roots: [{ uri: `file://${folder}` }] }
      })
    })
    await connect('files', client)
    await asked
    const read = await client.callTool({
      name: 'read_text_file',
      arguments: { path: join(folder, 'hello.txt') },
    })
    expect(JSON.stringify(read.content)).toContain('hello from a file')
    await client.close()
  })

  test('keeps state between sessions of one caller, in one child', async () => {
    const [a, b] = [new OldClient(WHO), new OldClient(WHO)]
    await connect('memory', a)
    await connect('memory', b)
    const entities = [{ name: 'weir', entityType: 'proxy', observations: ['holds water'] }]
    await a.callTool({ name: 'create_entities', arguments: { entities } })
    expect(JSON.stringify(await b.callTool({ name: 'read_graph', arguments: {} }))).toContain('holds water')
    await a.close()
    await b.close()
  })
})

describe('SDK 2', () => {
  const connect = async (name: string, mode: 'auto' | 'legacy'): Promise<Client> => {
    const client = new Client(WHO, { versionNegotiation: { mode } })
    await client.connect(new StreamableHTTPClientTransport(url(name)))
    return client
  }

  test('is bridged where the server is legacy', async () => {
    const client = await connect('everything', 'auto')
    expect((await client.callTool({ name: 'echo', arguments: { message: 'x' } })).content).toEqual([
      { type: 'text', text: 'Echo: x' },
    ])
    expect(harness.host.metrics().servers.everything!.sessions).toBe(1)
    await client.close()
  })

  test.skipIf(!existsSync(goServer)).each(['auto', 'legacy'] as const)(
    '%s, with a server of both eras',
    async (mode) => {
      const client = await connect('go', mode)
      expect((await client.listTools()).tools.length).toBeGreaterThan(5)
      const result = await client.callTool({ name: 'test_simple_text', arguments: {} })
      expect(JSON.stringify(result.content)).toContain('simple text')
      expect(harness.host.metrics().servers.go!.sessions).toBe(mode === 'auto' ? 0 : 1)
      await client.close()
    },
  )
})
