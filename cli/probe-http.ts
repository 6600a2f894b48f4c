/** A line to an MCP server over streamable HTTP, for one look at it. Source: MCP 2025-03-26 to 2026-07-28, transports. */
import type { ServerConfig } from '../config/schema.ts'
import { ownHeaders } from '../config/transport.ts'
import { MODERN_VERSION } from '../proxy/mcp/versions.ts'
import type { RpcMessage, Speaker } from './probe.ts'

const ANSWER_MAX_CHARS = 33_554_432

function causeOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string; message?: string }; message: string }
  return cause?.code ?? cause?.message ?? message
}

/** The response with `id`, from a JSON body or out of an event stream, which is left as soon as it came. */
async function answerOf(response: Response, id: number): Promise<RpcMessage> {
  const isStream = (response.headers.get('content-type') ?? '').startsWith('text/event-stream')
  const isOurs = (message: RpcMessage): boolean => message?.id === id && message.method === undefined
  if (!isStream) {
    const text = await response.text()
    try {
      return JSON.parse(text) as RpcMessage
    } catch {
      throw new Error(`HTTP ${response.status}, and no MCP answer: ${text.slice(0, 120)}`)
    }
  }
  const decoder = new TextDecoder()
  let held = ''
  for await (const chunk of response.body ?? []) {
    held += decoder.decode(chunk, { stream: true })
    const frames = held.split(/\r?\n\r?\n/)
    held = frames.pop() ?? ''
    if (held.length > ANSWER_MAX_CHARS) throw new Error('the answer is too large')
    for (const frame of frames) {
      const text = frame
        .split(/\r?\n/)
        .flatMap((line) => (line.startsWith('data:') ? [line.slice(5).trimStart()] : []))
        .join('\n')
      if (text === '') continue
      const message = JSON.parse(text) as RpcMessage
      if (isOurs(message)) return message
    }
  }
  throw new Error('the stream ended without an answer')
}

export function openHttp(config: ServerConfig, deadline: AbortSignal): Speaker {
  const url = new URL(config.url!)
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...Object.fromEntries(ownHeaders(config)),
  }
  url.username = ''
  url.password = ''
  let session = ''
  let next = 1
  const send = async (body: unknown, method: string, version: string): Promise<Response> => {
    const more = {
      ...(version && { 'mcp-protocol-version': version }),
      ...(version === MODERN_VERSION && { 'mcp-method': method }),
      ...(session && { 'mcp-session-id': session }),
    }
    try {
      return await fetch(url, {
        method: 'POST',
        headers: { ...headers, ...more },
        body: JSON.stringify(body),
        signal: deadline,
      })
    } catch (error) {
      throw new Error(`it cannot be reached: ${causeOf(error)}`)
    }
  }
  return {
    async ask(method, params, version) {
      const id = next++
      const response = await send({ jsonrpc: '2.0', id, method, params }, method, version)
      if (response.status === 401 || response.status === 403) {
        await response.body?.cancel()
        throw new Error(
          `it refused the credentials (HTTP ${response.status}); check \`credentials\` and \`headers\``,
        )
      }
      session = response.headers.get('mcp-session-id') ?? session
      return answerOf(response, id)
    },
    async notify(method, version) {
      await (await send({ jsonrpc: '2.0', method }, method, version)).body?.cancel()
    },
    async close() {
      if (session)
        await (
          await fetch(url, {
            method: 'DELETE',
            headers: { ...headers, 'mcp-session-id': session },
            signal: AbortSignal.timeout(2_000),
          })
        ).body?.cancel()
    },
  }
}
