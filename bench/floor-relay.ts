/** The floor of Node without HTTP: bytes of one socket to another. What is above it is the price of reading HTTP. */
import { type AddressInfo, connect, createServer } from 'node:net'

const target = new URL(process.argv[2] ?? '')
const server = createServer({ noDelay: true }, (client) => {
  const upstream = connect({ host: target.hostname, port: Number(target.port), noDelay: true })
  client.on('data', (chunk) => upstream.write(chunk))
  upstream.on('data', (chunk) => client.write(chunk))
  client.on('close', () => upstream.destroy())
  upstream.on('close', () => client.destroy())
  client.on('error', () => {})
  upstream.on('error', () => {})
})
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`),
)
