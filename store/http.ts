/**
 * The ClickHouse HTTP interface: routes, the way of a request, and the server's own limits.
 * Each request passes the same stations: who is it, what does it ask, may it run now, run, answer.
 */
import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Admission } from './admission.ts'
import { commonHeaders, encodingFor, sendError, sendOutcome } from './answer.ts'
import { receive } from './body.ts'
import { engineError, StoreError } from './errors.ts'
import { helloBlock, isHello } from './hello.ts'
import type { StoreLimits, StoreOptions } from './options.ts'
import { type Ask, chosenId, readAsk, refuseWebPages, roleOf } from './request.ts'
import { readerStatementMax_bytes } from './settings.ts'
import type { Statements } from './statement.ts'

export type HttpParts = {
  options: StoreOptions
  limits: StoreLimits
  version: string
  /** Where data files of inserts are put. */
  inserts_path: string
  admission: Admission
  statements: Statements
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.')

/** Answers what needs no statement. True when it did. */
function answerPlain(req: IncomingMessage, res: ServerResponse, url: URL): boolean {
  const method = req.method ?? ''
  if (method === 'OPTIONS') {
    // No CORS headers: a web page is not a client of this interface.
    res.writeHead(204, { Allow: 'GET, HEAD, POST, OPTIONS' }).end()
    return true
  }
  if (!['GET', 'HEAD', 'POST'].includes(method)) {
    res.writeHead(405, { Allow: 'GET, HEAD, POST, OPTIONS', 'Content-Type': 'text/plain; charset=UTF-8' })
    res.end(`The method ${method} is not part of the ClickHouse HTTP interface; use GET or POST\n`)
    return true
  }
  const isAlive = url.pathname === '/ping' || url.pathname === '/replicas_status'
  if (isAlive || (url.pathname === '/' && method !== 'POST' && !url.searchParams.has('query'))) {
    res.writeHead(200, { 'Content-Type': 'text/html; charset=UTF-8', 'Content-Length': 4 }).end('Ok.\n')
    return true
  }
  if (url.pathname !== '/') {
    res.writeHead(404, { 'Content-Type': 'text/plain; charset=UTF-8' })
    res.end(
      `There is no handle ${url.pathname}\n\nUse / or /ping for health checks.\nOr send queries with GET or POST to /.\n`,
    )
    return true
  }
  return false
}

/** Runs the statement of one request. Errors thrown here become the answer while none has begun. */
async function serve(
  parts: HttpParts,
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
  id: string,
): Promise<void> {
  const { options, limits, version, admission, statements } = parts
  const started_ns = process.hrtime.bigint()
  const role = roleOf(req, url, options)
  if (role === 'reader' && !options.reader?.password) refuseWebPages(req, isLoopback(options.listen.host))
  const queryId = chosenId(req, url) ?? id
  commonHeaders(res, queryId)
  const ask: Ask = readAsk(req, url, id, options.database)
  const isReadonly = req.method !== 'POST'
  const allowsData = role === 'writer' && !isReadonly
  const max_bytes = allowsData ? limits.insert_max_bytes : readerStatementMax_bytes
  const path = join(parts.inserts_path, id)
  const { text, insert } = await receive(req, { query: ask.query, path, allowsData, max_bytes })
  try {
    if (isHello(text, ask.client_revision)) {
      const block = helloBlock(ask.client_revision, version)
      res
        .writeHead(200, { 'X-ClickHouse-Format': 'Native', 'Content-Type': 'application/octet-stream' })
        .end(block)
      return
    }
    const gone = new AbortController()
    res.once('close', () => gone.abort())
    const release = await admission.enter(role, gone.signal)
    const outcome = await statements
      .run({ ...ask, role, text, insert, isReadonly })
      .catch((error: unknown) => {
        release()
        throw error
      })
    // The place is free when the engine is done, which may be later or earlier than the client.
    outcome.settled.then(release, release)
    if (res.destroyed) outcome.cancel()
    else
      gone.signal.addEventListener('abort', () => !res.writableFinished && outcome.cancel(), { once: true })
    try {
      await sendOutcome(res, outcome, {
        id: queryId,
        version,
        started_ns,
        wait_end_of_query: ask.wait_end_of_query,
        encoding: encodingFor(req, ask.enable_http_compression),
      })
    } catch (error) {
      outcome.cancel()
      throw error
    }
  } finally {
    if (insert) rmSync(path, { force: true })
  }
}

/** The server, not yet listening. */
export function createStoreServer(parts: HttpParts): Server {
  const server = createServer(
    // A statement may come in the URL, which Node counts as header.
    {
      maxHeaderSize: readerStatementMax_bytes + 16 * 1024,
      keepAliveTimeout: 75_000,
      headersTimeout: 15_000,
      requestTimeout: 300_000,
    },
    (req, res) => {
      const id = randomUUID()
      let url: URL
      try {
        url = new URL(req.url ?? '/', 'http://store')
      } catch {
        res.writeHead(400, { 'Content-Type': 'text/plain' }).end('The request target is not a valid path\n')
        return
      }
      // While draining, a busy client would otherwise keep its connection, and the process, for ever.
      if (!server.listening) res.setHeader('Connection', 'close')
      if (answerPlain(req, res, url)) return
      serve(parts, req, res, url, id).catch((error: unknown) => {
        if (res.destroyed || res.headersSent) {
          res.destroy()
          return
        }
        // What is left of a body nobody will read would be taken for the next request.
        if (!req.complete) {
          res.setHeader('Connection', 'close')
          res.once('finish', () => setTimeout(() => req.destroy(), 1000).unref())
        }
        commonHeaders(res, chosenId(req, url) ?? id)
        sendError(res, engineError(error), parts.version)
        req.resume()
      })
    },
  )
  server.maxConnections = 1024
  return server
}

/** Listens and answers with the address. A taken port gets a sentence that says what to do. */
export async function listen(server: Server, host: string, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken =
        error.code === 'EADDRINUSE'
          ? `port ${port} is taken; stop what uses it or set another store.listen`
          : error.message
      reject(new Error(`the store cannot listen on ${host}:${port}: ${taken}`, { cause: error }))
    })
    server.listen(port, host, resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new StoreError(49, 'LOGICAL_ERROR', 'no address')
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
}
