/**
 * A stdio MCP server behind a WebSocket with the subprotocol `mcp`: a process a connection, a message a frame.
 * `node websocket-program.ts <port> <command…>`. POST /_drop cuts every connection.
 */
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { WebSocketServer } from 'ws'

const [port, file, ...args] = process.argv.slice(2) as [string, string, ...string[]]
const server = createServer((req, res) => {
  if (req.url === '/_drop') for (const socket of sockets.clients) socket.terminate()
  res.writeHead(req.url === '/_drop' ? 200 : 404).end()
})
const sockets = new WebSocketServer({
  server,
  handleProtocols: (offered) => (offered.has('mcp') ? 'mcp' : false),
  verifyClient: ({ req }: { req: { headers: Record<string, unknown> } }) =>
    req.headers.authorization === 'Bearer for-the-socket',
})
sockets.on('connection', (socket) => {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  createInterface({ input: child.stdout }).on('line', (line) => socket.send(line))
  child.on('exit', () => socket.close())
  child.stdin.on('error', () => {})
  socket.on('message', (data: Buffer) => child.stdin.write(`${data.toString()}\n`))
  socket.on('close', () => child.kill())
})
server.listen(Number(port), '127.0.0.1')
