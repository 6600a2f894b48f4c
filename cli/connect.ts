/** `weir connect`: a running Weir as a stdio server, for clients that can start a command but not speak HTTP. */
import { existsSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { LineSplitter } from '../proxy/host/lines.ts'
import {
  type ClientSide,
  type Endpoint,
  MESSAGE_MAX_BYTES,
  StreamableClient,
} from '../proxy/mcp/streamable-client.ts'
import { HOP_LISTENER } from '../proxy/options.ts'
import { runningAt } from '../supervisor/running.ts'
import { findInstallation } from './installation.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir connect [url] [options]

Speaks MCP over stdin and stdout, and streamable HTTP with a running Weir. In a client's config:
  { "command": "npx", "args": ["-y", "mcp-weir", "connect", "http://127.0.0.1:7332/mcp"] }

[url]                 endpoint; default: /mcp of the Weir of this folder
--header "name: value"  sent with every request; may come several times
--config <file>       weir.yaml of the Weir to connect to (without url)

A Weir of the same user on this machine is reached by its own socket and records the transport stdio; another one is
reached over HTTP, and cannot tell.

The API key comes from the environment variable WEIR_KEY: arguments can be read by others on this machine.`

/** With more messages waiting for the client, no more are read from Weir. */
const LINES_MAX = 64
/** A Weir of this user is not searched for more often. */
const SEARCH_MIN_MS = 2_000

function headerOf(text: string): [string, string] {
  const at = text.indexOf(':')
  const name = text.slice(0, at).trim().toLowerCase()
  const value = text.slice(at + 1).trim()
  // What an HTTP header may consist of; the value is not shown, it may be a secret.
  if (at < 1 || !/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
    throw new CliError('--header is not a header', 'write --header "name: value"', 2)
  return [name, value]
}

function endpointOf(url: string | undefined, config: string | undefined): URL {
  if (url === undefined) {
    if (config === undefined && !existsSync('weir.yaml'))
      throw new CliError(
        `there is no weir.yaml in ${resolve('.')}`,
        'name the endpoint: weir connect http://127.0.0.1:7332/mcp',
      )
    return new URL('/mcp', findInstallation(config === undefined ? {} : { config }).proxy)
  }
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new CliError(
      `${url} is not an http:// or https:// URL`,
      'write for example http://127.0.0.1:7332/mcp',
      2,
    )
  return new URL(url)
}

/** The endpoint: by the socket of a Weir of this user while there is one, else over HTTP. */
async function wayTo(url: URL, own: Readonly<Record<string, string>>): Promise<Endpoint> {
  const open = url.protocol === 'https:' ? httpsRequest : httpRequest
  let running = await runningAt(url)
  // What is at the address may be another one by now, with another socket; until that is found, HTTP leads there too.
  let searched_ms = Date.now()
  const again = (): void => {
    running = null
    if (Date.now() - searched_ms < SEARCH_MIN_MS) return
    searched_ms = Date.now()
    void runningAt(url).then((found) => {
      running = found
    })
  }
  return {
    name: 'Weir',
    request: (method, headers) => {
      const all = { ...own, ...headers }
      if (running === null || !existsSync(running.socket)) {
        again()
        return open(url, { method, headers: all })
      }
      const { socket: socketPath, listener } = running
      const request = httpRequest(url, { socketPath, method, headers: { ...all, [HOP_LISTENER]: listener } })
      return request.once('error', again)
    },
  }
}

/**
 * Messages as lines, one a turn of the loop: clients read what arrives together at once, and some (seen: SDK v1) forget a
 * progress notification that stands right before its result.
 */
function lineWriter(out: Writable): ClientSide {
  const lines: string[] = []
  let isRunning = false
  const waiting: (() => void)[] = []
  const turn = (): void => {
    const line = lines.shift()
    if (line === undefined) {
      isRunning = false
      for (const go of waiting.splice(0)) go()
    } else if (out.write(line)) setImmediate(turn)
    else out.once('drain', turn)
  }
  return {
    message(text) {
      lines.push(`${text}\n`)
      if (!isRunning) {
        isRunning = true
        setImmediate(turn)
      }
      return lines.length < LINES_MAX
    },
    ready: () => new Promise((resolve) => waiting.push(resolve)),
  }
}

export const verb: Verb = async (argv) => {
  const { values, positionals } = readArgs(
    USAGE,
    argv,
    { header: { type: 'string', multiple: true }, config: { type: 'string' } },
    1,
  )
  const url = endpointOf(positionals[0], values.config as string | undefined)
  const own = Object.fromEntries(((values.header as string[] | undefined) ?? []).map(headerOf))
  if (process.env.WEIR_KEY) own.authorization ??= `Bearer ${process.env.WEIR_KEY}`
  const client = new StreamableClient(await wayTo(url, own), lineWriter(process.stdout))
  const lines = new LineSplitter(MESSAGE_MAX_BYTES, {
    line: (text) => client.send(text),
    overflow: (_head, _tail, bytes) =>
      void process.stderr.write(`weir: a message of ${bytes} bytes is too long and was dropped\n`),
  })
  return new Promise((done) => {
    const end = (): void => void client.close().then(() => done(0))
    process.stdin.on('data', (chunk: Buffer) => lines.push(chunk))
    process.stdin.on('end', () => {
      lines.end()
      end()
    })
    // The client went away without closing its end.
    process.stdout.on('error', end)
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, end)
  })
}
