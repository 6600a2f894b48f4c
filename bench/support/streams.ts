/** Silent streams to a Weir, many of them, as bare sockets: a client that held more of each would be the limit itself. */
import { connect, type Socket } from 'node:net'

const AT_ONCE = 50

/** Heads of the two kinds of stream a client can open: of a session (streamable HTTP), and of HTTP+SSE. */
export type StreamKind = { path: string; headers: readonly string[] }

function openStream(url: URL, key: string, { path, headers }: StreamKind): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port) })
    socket.once('error', reject)
    socket.once('data', (head: Buffer) => {
      if (!head.toString('latin1').startsWith('HTTP/1.1 200'))
        return reject(new Error(head.toString('latin1').slice(0, 300)))
      socket.off('error', reject)
      // One that is cut later shows in the count of open ones.
      socket.on('error', () => {})
      resolve(socket)
    })
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${key}\r\n${headers.map((h) => `${h}\r\n`).join('')}\r\n`,
    )
  })
}

/** Opens `count` streams, a few at a time. `sockets` holds those that are open, also when it rejects. */
export async function openStreams(
  sockets: Socket[],
  count: number,
  url: URL,
  key: string,
  kind: StreamKind,
): Promise<void> {
  while (sockets.length < count) {
    const wave = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () =>
      openStream(url, key, kind),
    )
    for (const one of await Promise.allSettled(wave))
      if (one.status === 'fulfilled') sockets.push(one.value)
      else throw one.reason
  }
}

export const sessionStream = (session: string): StreamKind => ({
  path: '/servers/stub/mcp',
  headers: ['MCP-Protocol-Version: 2025-11-25', `Mcp-Session-Id: ${session}`],
})
export const SSE_STREAM: StreamKind = { path: '/servers/stub/sse', headers: [] }
