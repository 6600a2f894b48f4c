/** A real HTTP endpoint that keeps what it was sent, and answers as it is told. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Got = { path: string; headers: IncomingHttpHeaders; body: string }
export type Listener = {
  url: string
  got: Got[]
  /** Status and headers of the next answers; after them 200. `drop`: the connection is cut. */
  next: ({ status: number; headers?: Record<string, string> } | 'drop')[]
  close(): Promise<void>
}

export async function listen(port = 0): Promise<Listener> {
  const got: Got[] = []
  const next: Listener['next'] = []
  const server: Server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    got.push({ path: request.url ?? '', headers: request.headers, body })
    const answer = next.shift() ?? { status: 200 }
    if (answer === 'drop') return void request.socket.destroy()
    response.writeHead(answer.status, answer.headers).end('ok')
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    got,
    next,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
