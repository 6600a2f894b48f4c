/**
 * HTTP/1.1 as bytes on sockets: a server that answers with recorded bytes and keeps what it got, and a client that shows
 * an answer as it came. Nothing of node:http in between, so that nothing is normalised on the way.
 */
import { connect, createServer, type Socket } from 'node:net'

export type RawAnswer = { status: number; headers: [string, string][]; body: Buffer; isComplete: boolean }
export type RawRequest = { line: string; headers: [string, string][]; body: Buffer }

const HEAD_END = '\r\n\r\n'

function readHead(bytes: Buffer): { line: string; headers: [string, string][]; rest: Buffer } | null {
  const end = bytes.indexOf(HEAD_END)
  if (end < 0) return null
  const [line, ...fields] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const headers = fields.map((field): [string, string] => {
    const colon = field.indexOf(':')
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()]
  })
  return { line: line!, headers, rest: bytes.subarray(end + HEAD_END.length) }
}

export const headerOf = (headers: readonly [string, string][], name: string): string | undefined =>
  headers.find(([n]) => n === name)?.[1]

/** The data of a chunked body; null while its end is missing. */
function dechunk(bytes: Buffer): Buffer | null {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const line = bytes.indexOf('\r\n', at)
    if (line < 0) return null
    const size = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16)
    if (size === 0) return Buffer.concat(parts)
    if (bytes.length < line + 2 + size + 2) return null
    parts.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}

function bodyOf(headers: [string, string][], rest: Buffer, isClosed: boolean, status = 200): Buffer | null {
  if (status === 204 || status === 304) return Buffer.alloc(0)
  if (headerOf(headers, 'transfer-encoding')?.toLowerCase() === 'chunked') return dechunk(rest)
  const length = headerOf(headers, 'content-length')
  if (length !== undefined) return rest.length >= Number(length) ? rest.subarray(0, Number(length)) : null
  return isClosed ? rest : null
}

/** Sends bytes and reads one answer. `pieces` are written one after another; `isHalf` closes our side at once after. */
export function exchange(
  port: number,
  pieces: readonly (string | Buffer)[],
  deadline_ms = 20_000,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let seen: Buffer<ArrayBufferLike> = Buffer.alloc(0)
    const timer = setTimeout(
      () =>
        socket.destroy(
          new Error(`no whole answer within ${deadline_ms} ms: ${seen.subarray(0, 500).toString('latin1')}`),
        ),
      deadline_ms,
    )
    const settle = (isClosed: boolean): boolean => {
      let bytes = seen
      for (;;) {
        const head = readHead(bytes)
        if (!head) return false
        const status = Number(head.line.split(' ')[1])
        if (status < 200) {
          bytes = head.rest
          continue
        }
        const body = bodyOf(head.headers, head.rest, isClosed, status)
        if (body === null && !isClosed) return false
        clearTimeout(timer)
        resolve({
          status,
          headers: head.headers,
          body: Buffer.from(body ?? head.rest),
          isComplete: body !== null,
        })
        socket.destroy()
        return true
      }
    }
    socket.on('data', (chunk) => {
      seen = Buffer.concat([seen, Buffer.from(chunk)])
      settle(false)
    })
    socket.on('error', (error) => {
      clearTimeout(timer)
      if (!settle(true)) reject(error)
    })
    socket.on('close', () => {
      clearTimeout(timer)
      if (!settle(true)) reject(new Error('closed without an answer'))
    })
    void (async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return
        await new Promise<void>((done) => socket.write(piece, () => setImmediate(done)))
      }
    })()
  })
}

/** A POST as bytes. */
export function post(
  path: string,
  port: number,
  body: string | Buffer,
  headers: readonly string[] = [],
): Buffer {
  const bytes = Buffer.from(body)
  const lines = [
    `POST ${path} HTTP/1.1`,
    `Host: localhost:${port}`,
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `Content-Length: ${bytes.length}`,
    ...headers,
  ]
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}${HEAD_END}`), bytes])
}

/** An answer to play back: bytes in pieces, and whether the connection ends after them. */
export type Recorded = {
  pieces: readonly (string | Buffer)[]
  isClosing?: boolean
  isReset?: boolean
  isSilent?: boolean
}

export type RawServer = {
  readonly port: number
  /** Requests by the value of their header x-case, in order of arrival. */
  readonly seen: Map<string, RawRequest[]>
  /** Connections closed by the other side before their answer was out. */
  close(): Promise<void>
}

/** Answers each request with what `answerOf` says for its header x-case. */
export async function startRawServer(
  answerOf: (name: string, request: RawRequest) => Recorded,
): Promise<RawServer> {
  const seen = new Map<string, RawRequest[]>()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    let bytes: Buffer = Buffer.alloc(0)
    let turn = Promise.resolve()
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, Buffer.from(chunk)])
      for (;;) {
        const head = readHead(bytes)
        if (!head) return
        const isBodyless =
          headerOf(head.headers, 'content-length') === undefined &&
          headerOf(head.headers, 'transfer-encoding') === undefined
        const body = isBodyless ? Buffer.alloc(0) : bodyOf(head.headers, head.rest, false)
        if (body === null) return
        bytes = Buffer.from(head.rest.subarray(body.length))
        const request = { line: head.line, headers: head.headers, body: Buffer.from(body) }
        const name = headerOf(head.headers, 'x-case') ?? ''
        seen.set(name, [...(seen.get(name) ?? []), request])
        const answer = answerOf(name, request)
        turn = turn.then(() => play(socket, answer))
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    seen,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

async function play(socket: Socket, answer: Recorded): Promise<void> {
  if (answer.isSilent) return
  for (const piece of answer.pieces) {
    if (socket.destroyed) return
    await new Promise<void>((done) => socket.write(piece, () => setTimeout(done, 1)))
  }
  if (answer.isReset) socket.resetAndDestroy()
  else if (answer.isClosing) socket.end()
}

/** An answer with its length. */
export const sized = (
  status: string,
  type: string,
  body: string | Buffer,
  more: readonly string[] = [],
): Recorded => ({
  pieces: [
    `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more.map((m) => `${m}\r\n`).join('')}\r\n`,
    body,
  ],
})

/** An answer in chunks. */
export const chunked = (
  status: string,
  type: string,
  pieces: readonly (string | Buffer)[],
  more: readonly string[] = [],
): Recorded => ({
  pieces: [
    `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n${more.map((m) => `${m}\r\n`).join('')}\r\n`,
    ...pieces.map((p) =>
      Buffer.concat([
        Buffer.from(`${Buffer.byteLength(p).toString(16)}\r\n`),
        Buffer.from(p),
        Buffer.from('\r\n'),
      ]),
    ),
    '0\r\n\r\n',
  ],
})
