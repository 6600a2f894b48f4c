/**
 * The floor of Node: a forwarder that does what HTTP asks for and nothing else (node:http and undici's dispatch, body in
 * one Buffer, answer as it comes, headers of a hop dropped both ways). What a call costs above it is Weir's own doing.
 * Imports nothing of the product, so that it stays where it is when the product changes.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Dispatcher, Pool } from 'undici'

const target = new URL(process.argv[2] ?? '')
const pool = new Pool(target.origin, {
  pipelining: 1,
  allowH2: false,
  headersTimeout: 0,
  bodyTimeout: 0,
  connections: 128,
})

const NOT_FORWARDED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
  'content-length',
  'authorization',
  'cookie',
  'accept-encoding',
  'origin',
])
const NOT_RETURNED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

function forwarded(raw: readonly string[]): string[] {
  const out = ['accept-encoding', 'identity']
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (!NOT_FORWARDED.has(name)) out.push(name, raw[i + 1]!)
  }
  return out
}

class Forward implements Dispatcher.DispatchHandler {
  readonly #res: ServerResponse
  #controller: Dispatcher.DispatchController | null = null

  constructor(res: ServerResponse) {
    this.#res = res
    res.on('close', () => {
      if (!res.writableFinished) this.#controller?.abort(new Error('the client is gone'))
    })
  }
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
  }
  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    const out: string[] = []
    for (const name in headers) {
      if (NOT_RETURNED.has(name)) continue
      const value = headers[name]
      if (typeof value === 'string') out.push(name, value)
      else if (value) for (const one of value) out.push(name, one)
    }
    this.#res.writeHead(status, out)
  }
  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#res.write(chunk)) return
    controller.pause()
    this.#res.once('drain', () => controller.resume())
  }
  onResponseEnd(): void {
    this.#res.end()
  }
  onResponseError(): void {
    if (this.#res.headersSent) this.#res.destroy()
    else this.#res.writeHead(502).end()
  }
}

const server = createServer({ keepAliveTimeout: 75_000 }, (req: IncomingMessage, res: ServerResponse) => {
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    const body = chunks.length === 0 ? null : chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    const method = req.method as Dispatcher.HttpMethod
    pool.dispatch(
      { origin: target.origin, path: target.pathname, method, headers: forwarded(req.rawHeaders), body },
      new Forward(res),
    )
  })
})
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`),
)
