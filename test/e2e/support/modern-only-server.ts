/**
 * A server that speaks the modern era alone, built with SDK v2: `node modern-only-server.ts <port>` over HTTP at /mcp, or
 * without a port over stdio. Its tools ask for elicitation, sampling and roots the modern way, by an answer that wants
 * input. What it must remember between two instances of itself stands in this module.
 */
import { createServer, type RequestListener } from 'node:http'
import { toNodeHandler } from '@modelcontextprotocol/node'
import {
  acceptedContent,
  createMcpHandler,
  createRequestStateCodec,
  inputRequired,
  inputResponse,
  McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { z } from 'zod'

const LEVEL = 'io.modelcontextprotocol/logLevel'
const NOTE = 'note://one'
const codec = createRequestStateCodec<{ first: string }>({
  key: 'a key of thirty-two bytes or more',
  ttlSeconds: 60,
})
let abandoned = 0
let hasGrown = false

const said = (text: string): { content: { type: 'text'; text: string }[] } => ({
  content: [{ type: 'text', text }],
})
const name = z.object({ name: z.string() })
const elicitName = (message: string) => inputRequired.elicit({ message, requestedSchema: name })
const sample = () =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: 'say something' } }],
    maxTokens: 10,
  })

function sampled(ctx: ServerContext, key: string): string | null {
  const view = inputResponse(ctx.mcpReq.inputResponses, key)
  if (view.kind !== 'sampling') return null
  const content = view.result.content as { text?: string }
  return content.text ?? ''
}
function rooted(ctx: ServerContext, key: string): string | null {
  const view = inputResponse(ctx.mcpReq.inputResponses, key)
  return view.kind === 'roots' ? view.roots.map((root) => root.uri).join(' ') : null
}
const named = (ctx: ServerContext, key: string): string | null =>
  acceptedContent(ctx.mcpReq.inputResponses, key, name)?.name ?? null

function build(): McpServer {
  const server = new McpServer(
    { name: 'modern-only', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        prompts: {},
        resources: { subscribe: true },
        logging: {},
      },
      instructions: 'ask politely',
      requestState: { verify: codec.verify },
    },
  )
  server.registerTool('plain', { inputSchema: z.object({ text: z.string() }) }, async ({ text }) =>
    said(text),
  )
  server.registerTool('steps', {}, async (ctx) => {
    const token = ctx.mcpReq._meta?.progressToken
    for (const progress of [1, 2])
      if (token !== undefined)
        await ctx.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken: token, progress, total: 2 },
        })
    await ctx.mcpReq.log('info', 'stepped')
    const envelope: Record<string, unknown> = { ...ctx.mcpReq.envelope }
    return said(`level ${String(envelope[LEVEL])}`)
  })
  server.registerTool('ask_name', {}, async (ctx) => {
    const view = inputResponse(ctx.mcpReq.inputResponses, 'name')
    if (view.kind === 'missing') return inputRequired({ inputRequests: { name: elicitName('Who are you?') } })
    return said(
      `hello ${named(ctx, 'name') ?? `nobody (${view.kind === 'elicit' ? view.action : view.kind})`}`,
    )
  })
  server.registerTool('ask_model', {}, async (ctx) => {
    const text = sampled(ctx, 'word')
    return text === null ? inputRequired({ inputRequests: { word: sample() } }) : said(text)
  })
  server.registerTool('ask_roots', {}, async (ctx) => {
    const roots = rooted(ctx, 'where')
    return roots === null
      ? inputRequired({ inputRequests: { where: inputRequired.listRoots() } })
      : said(roots)
  })
  // All at once: a client answers them in whatever order.
  server.registerTool('ask_all', {}, async (ctx) => {
    const answers = [named(ctx, 'name'), sampled(ctx, 'word'), rooted(ctx, 'where')]
    if (answers.some((answer) => answer === null))
      return inputRequired({
        inputRequests: {
          name: elicitName('Who?'),
          word: sample(),
          where: inputRequired.listRoots(),
        },
      })
    return said(answers.join(', '))
  })
  // The second question carries what the first one brought, sealed.
  server.registerTool('ask_twice', {}, async (ctx) => {
    const state = ctx.mcpReq.requestState<{ first: string }>()
    if (state !== undefined) {
      const second = named(ctx, 'second')
      return said(`${state.first} and ${second}`)
    }
    const first = named(ctx, 'first')
    return first === null
      ? inputRequired({ inputRequests: { first: elicitName('First?') } })
      : inputRequired({
          inputRequests: { second: elicitName('Second?') },
          requestState: await codec.mint({ first }, ctx),
        })
  })
  // Nothing to answer: the client is only to come again.
  server.registerTool('come_again', {}, async (ctx) => {
    const state = ctx.mcpReq.requestState<{ first: string }>()
    return state === undefined
      ? inputRequired({ requestState: await codec.mint({ first: 'seen before' }, ctx) })
      : said(state.first)
  })
  server.registerTool('list_of_two', { outputSchema: z.array(z.number()) }, async () => ({
    content: [{ type: 'text', text: 'two' }],
    structuredContent: [1, 2],
  }))
  server.registerTool(
    'by_header',
    {
      inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }) }),
    },
    async ({ region }) => said(region),
  )
  server.registerTool(
    'wait',
    {},
    (ctx) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => resolve(said('too late')), 30_000)
        ctx.mcpReq.signal.addEventListener('abort', () => {
          abandoned++
          clearTimeout(timer)
          resolve(said('cancelled'))
        })
      }),
  )
  server.registerTool('how_many_abandoned', {}, async () => said(String(abandoned)))
  server.registerTool('fail', {}, async () => ({ ...said('it went wrong'), isError: true }))
  if (hasGrown) server.registerTool('grown', {}, async () => said('new'))
  server.registerTool('grow', {}, async () => {
    changed.tools(server, !hasGrown)
    hasGrown = true
    return said('grown')
  })
  server.registerTool('touch', {}, async () => {
    changed.note(server)
    return said('touched')
  })
  server.registerResource('note', NOTE, { mimeType: 'text/plain' }, async () => ({
    contents: [{ uri: NOTE, text: 'a note' }],
  }))
  server.registerPrompt('ask_prompt', {}, async (ctx) => {
    const who = named(ctx, 'name')
    return who === null
      ? inputRequired({ inputRequests: { name: elicitName('For whom?') } })
      : { messages: [{ role: 'user', content: { type: 'text', text: `for ${who}` } }] }
  })
  return server
}

const port = process.argv[2]
/** How those who listen hear of changes: over HTTP no instance outlives its request, so the handler tells. */
let changed: { tools(server: McpServer, isFirst: boolean): void; note(server: McpServer): void }
if (port === undefined) {
  changed = {
    tools: (server, isFirst) => {
      if (isFirst) server.registerTool('grown', {}, async () => said('new'))
      else server.sendToolListChanged()
    },
    note: (server) => void server.server.sendResourceUpdated({ uri: NOTE }),
  }
  serveStdio(build, { legacy: 'reject' })
} else {
  const handler = createMcpHandler(build, { legacy: 'reject' })
  changed = { tools: () => handler.notify.toolsChanged(), note: () => handler.notify.resourceUpdated(NOTE) }
  const serve = toNodeHandler(handler)
  createServer(serve as RequestListener).listen(Number(port), '127.0.0.1')
}
