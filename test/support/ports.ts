/**
 * Ports for listeners that must come back on the same one after a crash. Outside the range the system gives to outgoing
 * connections: a port from there may be somebody else's by the time its owner starts again.
 */
import { readFileSync } from 'node:fs'

const FIRST = 18_000
const LAST = 32_000
const given = new Set<number>()

/** Local ports in use, as the kernel lists them; empty where it does not. */
function portsInUse(): Set<number> {
  const used = new Set<number>()
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6'])
    try {
      for (const line of readFileSync(file, 'latin1').split('\n').slice(1)) {
        const port = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4})/.exec(line)?.[1]
        if (port) used.add(Number.parseInt(port, 16))
      }
    } catch {
      // Not Linux: a clash would fail the start with a clear message.
    }
  return used
}

/** A free port that nobody else of this process was given. */
export function stablePort(): number {
  const used = portsInUse()
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (used.has(port) || given.has(port)) continue
    given.add(port)
    return port
  }
}
