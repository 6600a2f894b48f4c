/** A TCP listener in front of the host's socket for clients that cannot dial sockets: adds the principal, checks Host and Origin. */
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Relay = { url(server: string): string; close(): Promise<void> }

const LOCAL = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/

/** Relays to `socket`. The header `x-principal` of a client wins over `principal`. */
export async function startRelay(socket: string, principal = 'alice'): Promise<Relay> {
  const server: Server = createServer((incoming, res) => {
    const origin = incoming.headers.origin
    if (!LOCAL.test(incoming.headers.host ?? '') || (origin && !LOCAL.test(new URL(origin).host))) {
      res.writeHead(403).end()
      return
    }
    const { 'x-principal': other, connection: _, ...headers } = incoming.headers
    const outgoing = request({
      socketPath: socket,
      path: incoming.url,
      method: incoming.method,
      headers: { ...headers, 'weir-principal': other ?? principal },
      agent: false,
    })
    outgoing.on('response', (answer) => {
      const { connection: __, 'keep-alive': ___, ...kept } = answer.headers
      res.writeHead(answer.statusCode ?? 502, kept)
      res.flushHeaders()
      answer.pipe(res)
      answer.on('error', () => res.destroy())
    })
    outgoing.on('error', () => res.destroy())
    res.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: (name) => `http://localhost:${port}/servers/${name}/mcp`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
