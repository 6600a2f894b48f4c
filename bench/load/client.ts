/**
 * Load from Node where wrk is not installed: closed loop over raw sockets, one request in flight on each.
 * `node client.ts <url> <connections> <seconds> <request file>`; prints the same RESULT line as mcp.lua.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { quantile } from '../support/spread.ts'

const [url, connections, seconds, file] = process.argv.slice(2) as [string, string, string, string]
const target = new URL(url)
const parts = readFileSync(file, 'utf8')
  .split('\0')
  .filter(Boolean)
  .map((r) => r.split('7777777') as [string, string])
const HEAD_END = Buffer.from('\r\n\r\n')
const latencies: number[] = []
let id = 1_000_000
let failed = 0
const started = performance.now()
const end = started + Number(seconds) * 1000

/** Length of the first whole answer in `bytes`; 0 when it is not all there. */
function answerLength(bytes: Buffer): number {
  const head = bytes.indexOf(HEAD_END)
  if (head < 0) return 0
  const text = bytes.toString('latin1', 0, head)
  const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1]
  if (length === undefined) {
    const last = bytes.indexOf('0\r\n\r\n', head)
    return last < 0 ? 0 : last + 5
  }
  const whole = head + 4 + Number(length)
  return bytes.length >= whole ? whole : 0
}

function open(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: target.hostname, port: Number(target.port), noDelay: true })
    let sent = 0
    let kept: Buffer = Buffer.alloc(0)
    const send = (): void => {
      if (performance.now() >= end) return void socket.destroy()
      if (++id > 9_999_999) id = 1_000_000
      const [before, after] = parts[id % parts.length]!
      sent = performance.now()
      socket.write(before + id + after)
    }
    socket.on('connect', send)
    socket.on('data', (chunk: Buffer) => {
      kept = kept.length === 0 ? chunk : Buffer.concat([kept, chunk])
      const length = answerLength(kept)
      if (length === 0) return
      if (kept.toString('latin1', 9, 10) !== '2') failed++
      kept = kept.subarray(length)
      latencies.push((performance.now() - sent) * 1000)
      send()
    })
    socket.on('error', () => {
      failed++
    })
    socket.on('close', () => resolve())
  })
}

await Promise.all(Array.from({ length: Number(connections) }, open))
const duration_us = Math.round((performance.now() - started) * 1000)
const sorted = latencies.sort((a, b) => a - b)
const at = (q: number): number => Math.round(quantile(sorted, q))
process.stdout.write(
  `RESULT ${JSON.stringify({ calls: sorted.length, duration_us, failed, p50_us: at(0.5), p90_us: at(0.9), p99_us: at(0.99), p999_us: at(0.999), max_us: at(1) })}\n`,
)
