/** A real MCP server (SDK, both eras over HTTP) that can be made slow, failing or silent while it serves. */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'

/** What is wrong with it now. */
export type Trouble = {
  /** Added to the time of every call. */
  slow_ms?: number
  /** Answers of this tool say that they failed. */
  failing?: string
  /** Calls are taken and not answered, until it heals. */
  isSilent?: boolean
}

export type TroubledServer = {
  url: string
  /** From the next call on. Without anything wrong, calls that wait are answered. */
  be(trouble: Trouble): void
  close(): Promise<void>
}

export async function startTroubled(name: string, tools: readonly string[]): Promise<TroubledServer> {
  let trouble: Trouble = {}
  let waiting: (() => void)[] = []
  const answer = async (tool: string, id: string) => {
    if (trouble.isSilent) await new Promise<void>((resolve) => waiting.push(resolve))
    await pause(10 + (trouble.slow_ms ?? 0))
    return trouble.failing === tool
      ? { isError: true, content: [{ type: 'text' as const, text: `disk is full: ${id}` }] }
      : { content: [{ type: 'text' as const, text: `${tool} of ${id}: ${'.'.repeat(400)}` }] }
  }
  const build = (): McpServer => {
    const server = new McpServer({ name, version: '1.0.0' })
    for (const tool of tools)
      server.registerTool(tool, { inputSchema: z.object({ id: z.string() }) }, ({ id }) => answer(tool, id))
    return server
  }
  const http = createServer(toNodeHandler(createMcpHandler(build)) as RequestListener)
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const be = (next: Trouble): void => {
    trouble = next
    if (next.isSilent) return
    for (const go of waiting) go()
    waiting = []
  }
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`,
    be,
    close: () =>
      new Promise((resolve) => {
        be({})
        http.close(() => resolve())
        http.closeAllConnections()
      }),
  }
}
