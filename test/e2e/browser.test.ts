/**
 * A real browser: the SDK's client in a page of another origin, through Weir, and what a page of a foreign origin is
 * kept from. Needs Chromium (in the environment variable CHROMIUM, or where Debian puts it); skipped where there is none.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { type Observed, ROOT, startObserved } from './support/observed.ts'

const PROGRAM = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (file) => file && existsSync(file),
)
const KEY = 'key-of-the-page'
/** What the SDK imports, as a browser finds it. */
const MODULES = {
  '@modelcontextprotocol/client': '@modelcontextprotocol/client/dist/index.mjs',
  '@modelcontextprotocol/client/_shims': '@modelcontextprotocol/client/dist/shimsBrowser.mjs',
  '@modelcontextprotocol/core/internal': '@modelcontextprotocol/core/dist/internal.mjs',
  'eventsource-parser': 'eventsource-parser/dist/index.js',
  'eventsource-parser/stream': 'eventsource-parser/dist/stream.js',
  eventsource: 'eventsource/dist/index.js',
  'pkce-challenge': 'pkce-challenge/dist/index.browser.js',
  'zod/v4': 'zod/v4/index.js',
}
const imports = Object.fromEntries(Object.entries(MODULES).map(([name, file]) => [name, `/modules/${file}`]))
const PAGE = `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
window.sdk = { Client, StreamableHTTPClientTransport }
</script>`

describe.skipIf(!PROGRAM)('in a browser (needs Chromium)', () => {
  let pages: Server
  let modern: Server
  let upstream: UpstreamStub
  let weir: Observed
  let browser: Browser
  let port: number

  beforeAll(async () => {
    pages = createServer((req, res) => {
      const path = decodeURIComponent(new URL(req.url!, 'http://x').pathname)
      if (path === '/') return void res.setHeader('content-type', 'text/html').end(PAGE)
      const file = join(ROOT, 'node_modules', path.replace('/modules/', ''))
      if (!path.startsWith('/modules/') || path.includes('..') || !existsSync(file))
        return void res.writeHead(404).end()
      res.setHeader('content-type', 'text/javascript').end(readFileSync(file))
    })
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
    port = (pages.address() as AddressInfo).port
    const handler = createMcpHandler(() => {
      const server = new McpServer({ name: 'modern', version: '1' })
      for (const name of ['echo', 'sse'])
        server.registerTool(name, { inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
          content: [{ type: 'text', text }],
        }))
      return server
    })
    const serve = toNodeHandler(handler)
    modern = createServer((req, res) => void serve(req as Parameters<typeof serve>[0], res))
    await new Promise<void>((resolve) => modern.listen(0, '127.0.0.1', resolve))
    upstream = await startUpstream({ sessions: true })
    weir = await startObserved({
      callers: { page: { keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] } },
      servers: {
        stub: { url: upstream.url },
        modern: { url: `http://127.0.0.1:${(modern.address() as AddressInfo).port}/mcp` },
      },
      http: { allowed_origins: [`http://app.example:${port}`] },
    })
    browser = await chromium.launch({
      executablePath: PROGRAM!,
      args: ['--no-sandbox', '--host-resolver-rules=MAP *.example 127.0.0.1'],
    })
  })
  afterAll(async () => {
    await browser?.close()
    await weir?.stop()
    await upstream?.end()
    for (const server of [pages, modern]) await new Promise((resolve) => server?.close(resolve))
  })

  async function at(origin: string): Promise<Page> {
    const page = await browser.newPage()
    await page.goto(`http://${origin}:${port}/`)
    await page.waitForFunction('window.sdk')
    return page
  }

  test.each([
    ['a page on this machine', 'localhost', 'legacy'],
    ['a page of an allowed origin', 'app.example', 'legacy'],
    ['a page of an allowed origin, of the modern era', 'app.example', 'auto'],
  ])('the SDK works in %s', async (_name, origin, mode) => {
    const page = await at(origin)
    const tag = `${origin}-${mode}`
    const seen = await page.evaluate(
      async ({ url, key, tag, mode }) => {
        // biome-ignore lint/suspicious/noExplicitAny: the SDK of the page
        const { Client, StreamableHTTPClientTransport } = (globalThis as any).sdk
        const headers = { authorization: `Bearer ${key}`, 'x-weir-agent': tag }
        const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
        const options = mode === 'auto' ? { versionNegotiation: { mode: 'auto' } } : {}
        const client = new Client({ name: 'page', version: '1' }, options)
        await client.connect(transport)
        const tools = await client.listTools()
        const echo = await client.callTool({ name: 'echo', arguments: { text: 'from a page' } })
        const stream = await client.callTool({ name: 'sse', arguments: { text: 'in pieces' } })
        const session = transport.sessionId
        if (session) await transport.terminateSession()
        await client.close()
        return {
          tools: tools.tools.length,
          session: session ?? '',
          texts: [echo, stream].map((r) => r.content[0].text),
        }
      },
      { url: `${weir.url}/servers/${mode === 'auto' ? 'modern' : 'stub'}/mcp`, key: KEY, tag, mode },
    )
    expect(seen.tools).toBeGreaterThan(1)
    expect(seen.texts).toEqual(['from a page', 'in pieces'])
    expect(seen.session === '').toBe(mode === 'auto')
    const rows = await weir.events(`agent = '${tag}' AND method = 'tools/call'`, 2)
    expect(rows.map((r) => `${r.outcome} ${r.era}`)).toEqual(
      Array(2).fill(`ok ${mode === 'auto' ? 'modern' : 'legacy'}`),
    )
    await page.close()
  })

  test('a page reads why it was refused, and may send headers named after arguments', async () => {
    const page = await at('app.example')
    const seen = await page.evaluate(
      async ({ url, key }) => {
        const ask = async (path: string, headers: Record<string, string>): Promise<unknown[]> => {
          const answer = await fetch(url + path, {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...headers },
            body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
          })
          return [
            answer.status,
            answer.headers.get('www-authenticate'),
            (await answer.text()).includes('fix'),
          ]
        }
        const authorization = `Bearer ${key}`
        return [
          await ask('/mcp', {}),
          await ask('/servers/none/mcp', { authorization }),
          await ask('/mcp', { authorization, 'mcp-session-id': 'none', 'mcp-param-city': 'x' }),
          await ask('/mcp', { authorization, 'x-not-allowed': '1' }).catch((error) => error.name),
        ]
      },
      { url: weir.url, key: KEY },
    )
    expect(seen).toEqual([
      [401, 'Bearer realm="weir"', true],
      [404, null, true],
      [404, null, true],
      'TypeError',
    ])
    await page.close()
  })

  test('a page of a foreign origin neither calls nor reads', async () => {
    const page = await at('evil.example')
    const before = (await upstream.seen()).arrived.length
    const seen = await page.evaluate(
      async ({ url, key }) => {
        const body =
          '{"jsonrpc":"2.0","id":"evil","method":"tools/call","params":{"name":"echo","arguments":{}}}'
        const ask = (init: RequestInit): Promise<unknown> =>
          fetch(`${url}/servers/stub/mcp`, { method: 'POST', body, ...init }).then(
            async (answer) => [answer.type, answer.status, await answer.text()],
            (error) => error.name,
          )
        return [
          await ask({ headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` } }),
          // What a browser sends without asking first.
          await ask({ headers: { 'content-type': 'text/plain' } }),
          await ask({ headers: { 'content-type': 'text/plain' }, mode: 'no-cors' }),
        ]
      },
      { url: weir.url, key: KEY },
    )
    expect(seen).toEqual(['TypeError', 'TypeError', ['opaque', 0, '']])
    expect((await upstream.seen()).arrived.length).toBe(before)
    const rows = await weir.events("error_type = 'origin_refused'", 2)
    expect(rows).toHaveLength(2)
    await page.close()
  })
})
