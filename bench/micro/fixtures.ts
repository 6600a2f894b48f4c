/** A tools/call as the stages see it, made of the same request the path scenario sends. */

import { createHash } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../config/load.ts'
import { Call } from '../../proxy/call.ts'
import { Capture } from '../../proxy/capture.ts'
import { makeKeyRing } from '../../proxy/identity/identity.ts'
import { type Session, SessionSeal } from '../../proxy/identity/session-id.ts'
import { Recorder } from '../../proxy/record.ts'
import { SpoolWriter } from '../../proxy/spool/writer.ts'
import { nowUs } from '../../proxy/telemetry/clock.ts'
import { Metrics } from '../../proxy/telemetry/metrics.ts'
import { makeRedactor } from '../../proxy/telemetry/redact.ts'
import { Upstream } from '../../proxy/upstream/upstream.ts'
import { type Era, httpRequest, toolsCall } from '../support/requests.ts'

export const KEY = 'weir_0123456789abcdef0123456789abcdef0123456789abcdef'
export const folder = mkdtempSync(join(tmpdir(), 'weir-micro-'))

export const { config } = parseConfig(
  `data: ${folder}
servers:
  stub: { url: "http://127.0.0.1:9/mcp" }
callers:
  bench: { team: bench, project: bench, keys: [ { sha256: ${createHash('sha256').update(KEY).digest('hex')} } ] }
`,
  join(folder, 'weir.yaml'),
)

export const seal = new SessionSeal(Buffer.alloc(32, 1))
export const upstream = new Upstream('stub', config.servers.stub!, '')
export const endpoint = { path: '/servers/stub/mcp', server: 'stub' }

export const session = (n: number): Session => ({
  handle: n.toString(16).padStart(32, '0'),
  caller: 'bench',
  server: 'stub',
  upstream_id: `stub-${n}`,
  owner: '',
  client_name: 'weir-bench',
  client_version: '1.0.0',
  protocol_version: '2025-11-25',
  capabilities: '',
})
export const sessionIds = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => seal.seal(session(i)))

const ids = sessionIds(64)

/** `req` of node:http as far as the stages look at it. */
function requestOf(
  era: Era,
  n: number,
): { headers: Record<string, string>; rawHeaders: string[]; socket: object } {
  const text = httpRequest({
    url: 'http://127.0.0.1:7332/servers/stub/mcp',
    key: KEY,
    tool: 'echo',
    era,
    ...(era === 'legacy' ? { session: ids[n % ids.length]! } : {}),
  })
  const rawHeaders = text
    .split('\r\n\r\n')[0]!
    .split('\r\n')
    .slice(1)
    .flatMap((l) => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 2)])
  const headers: Record<string, string> = {}
  for (let i = 0; i < rawHeaders.length; i += 2) headers[rawHeaders[i]!.toLowerCase()] = rawHeaders[i + 1]!
  return { headers, rawHeaders, socket: {} }
}

const REQUESTS = {
  legacy: ids.map((_, n) => requestOf('legacy', n)),
  modern: ids.map((_, n) => requestOf('modern', n)),
}
const BODIES = {
  legacy: ids.map((_, n) =>
    Buffer.from(toolsCall('echo', 'legacy').replace('7777777', String(1_000_000 + n))),
  ),
  modern: ids.map((_, n) =>
    Buffer.from(toolsCall('echo', 'modern').replace('7777777', String(1_000_000 + n))),
  ),
}
export const ring = makeKeyRing(config.callers)
const identity = ring.byDigest.values().next().value!
const RES = {} as ServerResponse

/** A call whose body has been read. */
export function newCall(era: Era, n: number): Call {
  const call = new Call(
    REQUESTS[era][n % ids.length] as unknown as IncomingMessage,
    RES,
    endpoint,
    nowUs(),
    '127.0.0.1',
    false,
  )
  call.body = BODIES[era][n % ids.length]!
  call.identity = identity
  return call
}

/** The answer of the stub: 787 bytes. */
export const answerText = (size = 787): string => {
  const frame = `{"jsonrpc":"2.0","id":1000000,"result":{"content":[{"type":"text","text":""}],"isError":false}}`
  const words = 'The balance of account 4711 is 1,204.50 EUR as of this morning. '
  const room = size - frame.length
  return frame.replace('"text":""', `"text":"${words.repeat(Math.ceil(room / words.length)).slice(0, room)}"`)
}

export const capture = new Capture(config.capture, makeRedactor(config.capture.redact, []), 'b'.repeat(64))

/** A recorder that writes to a real spool, or to none. */
export function newRecorder(isWriting: boolean): Recorder {
  const spool = isWriting
    ? new SpoolWriter({
        folder: join(folder, 'spool'),
        worker_id: '0123456789abcdef',
        segment_bytes: 4_194_304,
        segment_age_ms: 250,
      })
    : silent((line) => line.length > 0)
  return new Recorder({ instance: 'bench', worker: 'w1', env: '' }, spool, new Metrics(), capture)
}

const silent = (append: (line: string) => boolean): SpoolWriter => ({ append }) as unknown as SpoolWriter

/** The spool line of a call, without its newline. */
export function textOfEvent(call: Call): string {
  let text = ''
  const keep = silent((line) => (text = line.trimEnd()) !== '')
  const recorder = new Recorder({ instance: 'bench', worker: 'w1', env: '' }, keep, new Metrics(), capture)
  call.isRecorded = false
  recorder.record(call)
  return text
}
