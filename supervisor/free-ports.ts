/**
 * Ports for listeners that take any. Found before the workers start, so that all of them, and those that come after one has
 * died, ask for the same port: two that ask for "any" share one only as long as one of them has it open.
 */
import { createServer, type Server } from 'node:net'
import { hostOf, portOf, withPort } from '../config/address.ts'

/** URLs of the addresses, with a free port where port 0 was asked for. Rejects when a host is none of this machine. */
export async function withFreePorts(addresses: readonly string[]): Promise<string[]> {
  const probes: Server[] = []
  const urls: string[] = []
  for (const address of addresses) {
    let port = portOf(address)
    if (port === 0) {
      const probe = createServer()
      await new Promise<void>((resolve, reject) => {
        probe.once('error', reject)
        probe.listen({ host: hostOf(address), port, exclusive: true }, resolve)
      })
      // All stay open until the last is found: each gets one of its own.
      probes.push(probe)
      port = (probe.address() as { port: number }).port
    }
    urls.push(`http://${withPort(address, port)}`)
  }
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  return urls
}
