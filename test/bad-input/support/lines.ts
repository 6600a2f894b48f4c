/**
 * The ways a client's messages come to Weir, as raw as they can be had: what `say` takes is sent as it is, what `heard`
 * holds is text as it came. Over HTTP each message is a POST of its own; a client that checks nothing checks nothing here.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import WebSocket from 'ws'
import { ROOT } from '../../e2e/support/observed.ts'
import { exchange } from '../../e2e/support/raw.ts'
import { open } from '../../support/client.ts'
import { waitFor } from '../../support/wait.ts'

export const WAYS = ['http', 'websocket', 'sse', 'connect'] as const
export type Way = (typeof WAYS)[number]

export type Line = {
  /** Sends one message. Resolves when it is out, over HTTP when it is answered. */
  say(message: string | Buffer): Promise<void>
  /** Sends one message in these pieces. */
  inPieces(pieces: readonly Buffer[]): Promise<void>
  /** Messages of the other side, oldest first; those of a POST without an answer are ''. */
  readonly heard: string[]
  readonly isOpen: boolean
  close(): Promise<void>
}

export type LineOptions = { port: number; path: string; agent: string; headers?: Record<string, string> }

export const openLine = (way: Way, options: LineOptions): Promise<Line> =>
  ({ http: overHttp, websocket: overWebSocket, sse: overSse, connect: overConnect })[way](options)

async function overHttp({ port, path, agent, headers = {} }: LineOptions): Promise<Line> {
  const heard: string[] = []
  const fields = { 'x-weir-agent': agent, ...headers }
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
  ]
  const send = async (bytes: readonly (string | Buffer)[], length: string): Promise<void> => {
    const answer = await exchange(port, [`${[...head, length].join('\r\n')}\r\n\r\n`, ...bytes])
    const text = answer.body.toString()
    heard.push(text.startsWith('event:') ? text.replace(/^event: message\ndata: |\n\n$/g, '') : text)
  }
  return {
    heard,
    isOpen: true,
    say: (message) => send([message], `Content-Length: ${Buffer.byteLength(message)}`),
    inPieces: (pieces) =>
      send(
        [
          ...pieces.map((p) =>
            Buffer.concat([Buffer.from(`${p.length.toString(16)}\r\n`), p, Buffer.from('\r\n')]),
          ),
          '0\r\n\r\n',
        ],
        'Transfer-Encoding: chunked',
      ),
    close: async () => {},
  }
}

async function overWebSocket({ port, path, agent, headers = {} }: LineOptions): Promise<Line> {
  const heard: string[] = []
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, 'mcp', {
    headers: { 'x-weir-agent': agent, ...headers },
  })
  socket.on('message', (data: Buffer) => heard.push(data.toString()))
  socket.on('error', () => {})
  await once(socket, 'open')
  const out = (data: string | Buffer, fin: boolean): Promise<void> =>
    new Promise((resolve) => socket.send(data, { binary: false, fin }, () => resolve()))
  return {
    heard,
    get isOpen() {
      return socket.readyState === WebSocket.OPEN
    },
    say: (message) => out(message, true),
    inPieces: async (pieces) => {
      for (const [i, piece] of pieces.entries()) await out(piece, i === pieces.length - 1)
    },
    close: async () => {
      const closed = once(socket, 'close')
      socket.terminate()
      await closed
    },
  }
}

async function overSse({ port, path, agent, headers = {} }: LineOptions): Promise<Line> {
  const own = { 'x-weir-agent': agent, ...headers }
  const stream = await open(`http://localhost:${port}${path.replace(/mcp$/, 'sse')}`, { headers: own })
  const endpoint = await waitFor('the endpoint is named', () => /\ndata: (\S+)\n/.exec(stream.text())?.[1])
  const posts = await overHttp({ port, path: endpoint, agent, headers })
  const taken = (sent: Promise<void>): Promise<void> => sent.then(() => void (posts.heard.length = 0))
  let isOpen = true
  void stream.ended.then(() => {
    isOpen = false
  })
  return {
    get heard() {
      return [...stream.text().matchAll(/event: message\ndata: (.*)\n\n/g)].map((m) => m[1]!)
    },
    get isOpen() {
      return isOpen
    },
    say: (message) => taken(posts.say(message)),
    inPieces: (pieces) => taken(posts.inPieces(pieces)),
    close: async () => stream.close(),
  }
}

async function overConnect({ port, path, agent, headers = {} }: LineOptions): Promise<Line> {
  const words = Object.entries({ 'x-weir-agent': agent, ...headers }).flatMap(([name, value]) => [
    '--header',
    `${name}: ${value}`,
  ])
  const url = `http://127.0.0.1:${port}${path}`
  const child = spawn(process.execPath, [join(ROOT, 'weir.ts'), 'connect', url, ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  child.stdin.on('error', () => {})
  const out = (data: string | Buffer): Promise<void> =>
    new Promise((resolve) => child.stdin.write(data, () => resolve()))
  return {
    get heard() {
      return Buffer.from(text.slice(0, text.lastIndexOf('\n') + 1), 'latin1')
        .toString()
        .split('\n')
        .slice(0, -1)
    },
    get isOpen() {
      return child.exitCode === null && child.signalCode === null
    },
    say: (message) => out(Buffer.concat([Buffer.from(message), Buffer.from('\n')])),
    inPieces: async (pieces) => {
      for (const piece of pieces) await out(piece)
      await out('\n')
    },
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}
