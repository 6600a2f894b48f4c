/**
 * Sends one outcome over HTTP: status, X-ClickHouse-* headers, compression, and an error that comes after the first byte.
 * The first bytes are held back until the result is large or complete: most errors then still get their own status, and
 * small answers carry a length and an exact summary.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { constants, createBrotliCompress, createDeflate, createGzip, createZstdCompress } from 'node:zlib'
import { engineError, type StoreError, statusOf, wordsOf } from './errors.ts'
import { contentType } from './formats.ts'
import { headerOf } from './request.ts'
import type { Counts, Outcome } from './statement.ts'

/** How one answer is to be sent. */
export type Manner = {
  id: string
  version: string
  started_ns: bigint
  wait_end_of_query: boolean
  encoding: string | null
}

const held_bytes = 64 * 1024
/** `wait_end_of_query` asks to hold everything; beyond this it streams all the same, for memory's sake. */
const heldToEnd_bytes = 16 * 1024 * 1024

/** A client that takes nothing for this long loses its answer, and the engine gets its thread back. */
const stall_ms = 60_000

// Fast levels: the answer travels over loopback or a data centre, so time counts more than size.
const packers: Record<string, () => NodeJS.ReadWriteStream> = {
  zstd: () => createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
  gzip: () => createGzip({ level: 3 }),
  deflate: () => createDeflate({ level: 3 }),
  br: () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 2 } }),
}

/** The first encoding of ours that the client takes, or null for plain bytes. */
export function encodingFor(req: IncomingMessage, isEnabled: boolean): string | null {
  if (!isEnabled) return null
  const accepted = new Set(
    headerOf(req, 'accept-encoding')
      .split(',')
      .filter((entry) => !/;\s*q=0(\.0*)?\s*$/.test(entry))
      .map((entry) => entry.split(';')[0]!.trim().toLowerCase()),
  )
  return Object.keys(packers).find((name) => accepted.has(name)) ?? null
}

function summary(counts: Counts, started_ns: bigint): string {
  const { result_rows, result_bytes, written_rows, written_bytes } = counts
  // The engine does not tell what it scanned.
  const all = {
    read_rows: 0,
    read_bytes: 0,
    written_rows,
    written_bytes,
    total_rows_to_read: 0,
    result_rows,
    result_bytes,
  }
  const elapsed_ns = process.hrtime.bigint() - started_ns
  return JSON.stringify(
    Object.fromEntries(Object.entries({ ...all, elapsed_ns }).map(([name, value]) => [name, String(value)])),
  )
}

/** Headers every answer of a statement carries. */
export function commonHeaders(res: ServerResponse, id: string): void {
  res.setHeader('X-ClickHouse-Query-Id', id)
  res.setHeader('X-ClickHouse-Timezone', 'UTC')
  res.setHeader('X-ClickHouse-Server-Display-Name', 'weir')
}

/** Answers with an error before anything else was sent. */
export function sendError(res: ServerResponse, error: StoreError, version: string): void {
  if (res.headersSent || res.destroyed) {
    res.destroy()
    return
  }
  const status = statusOf(error)
  const body = Buffer.from(wordsOf(error, version))
  res.statusCode = status
  res.setHeader('X-ClickHouse-Exception-Code', String(error.code))
  res.setHeader('Content-Type', 'text/plain; charset=UTF-8')
  res.setHeader('Content-Length', body.length)
  if (status === 401) res.setHeader('WWW-Authenticate', 'Basic realm="weir store"')
  if (error.code === 202) res.setHeader('Retry-After', '1')
  res.end(body)
}

/** The last thing of a broken answer; the clients know it by the tag they got up front. */
function trailer(error: StoreError, tag: string, version: string): Buffer {
  const words = wordsOf(error, version).trimEnd()
  return Buffer.from(
    `\r\n__exception__\r\n${tag}\r\n${words}\n${Buffer.byteLength(words) + 1} ${tag}\r\n__exception__\r\n`,
  )
}

/** Drops the client that has stopped reading; silence on our side is not its fault. */
function watchStall(res: ServerResponse): () => void {
  let before = -1
  const timer = setInterval(() => {
    const written = res.socket?.bytesWritten ?? 0
    if (res.writableNeedDrain && written === before) res.destroy()
    before = written
  }, stall_ms / 2)
  return () => clearInterval(timer)
}

/** Sends `outcome` to its end. Throws the statement's error while nothing was sent; later errors go into the stream. */
export async function sendOutcome(res: ServerResponse, outcome: Outcome, manner: Manner): Promise<void> {
  const source = (async function* () {
    yield* outcome.bytes
  })()
  const held: Buffer[] = []
  let size = 0
  let isComplete = false
  const enough = manner.wait_end_of_query ? heldToEnd_bytes : held_bytes
  while (size < enough) {
    const { value, done } = await source.next()
    if (done) {
      isComplete = true
      break
    }
    held.push(value)
    size += value.length
  }
  const counts = isComplete
    ? await outcome.settled
    : { result_rows: 0, result_bytes: 0, written_rows: 0, written_bytes: 0 }
  res.statusCode = 200
  res.setHeader('X-ClickHouse-Summary', summary(counts, manner.started_ns))
  if (outcome.format) res.setHeader('X-ClickHouse-Format', outcome.format)
  res.setHeader('Content-Type', contentType(outcome.format ?? ''))
  const tag = randomBytes(8).toString('hex')
  res.setHeader('X-ClickHouse-Exception-Tag', tag)
  if (isComplete && (manner.encoding === null || size === 0)) {
    res.setHeader('Content-Length', size)
    res.end(Buffer.concat(held))
    return
  }
  if (manner.encoding) res.setHeader('Content-Encoding', manner.encoding)
  const rows = async function* () {
    yield* held
    yield* source
    try {
      await outcome.settled
    } catch (error) {
      yield trailer(engineError(error), tag, manner.version)
    }
  }
  const unwatch = watchStall(res)
  try {
    const packer = manner.encoding ? packers[manner.encoding]!() : null
    if (packer) await pipeline(rows, packer, res)
    else await pipeline(rows, res)
  } finally {
    unwatch()
    await source.return(undefined)
  }
}
