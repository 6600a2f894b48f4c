/** Who holds a TCP port of this machine. Linux only, by /proc; elsewhere, and for other users' processes, nobody is named. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { hostOf, portOf } from '../config/address.ts'

const LISTEN = '0A'

/** `pid` 0: somebody whose name is not for us to see. */
export type Holder = { pid: number; name: string }

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

/** Socket inodes that listen on a port, on any address. */
function listeningInodes(port: number): Set<string> {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  const inodes = new Set<string>()
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6'])
    for (const line of read(file).split('\n').slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
      if (state === LISTEN && local?.endsWith(`:${wanted}`) && inode) inodes.add(inode)
    }
  return inodes
}

/** What a process calls itself: its program and the first words after it. */
export const processName = (pid: number): string =>
  read(`/proc/${pid}/cmdline`).split('\0').filter(Boolean).slice(0, 4).join(' ').slice(0, 120) ||
  read(`/proc/${pid}/comm`).trim()

/** The processes that listen on a port; empty when there is none, or no /proc. */
export function holdersOf(port: number): Holder[] {
  const inodes = listeningInodes(port)
  if (inodes.size === 0) return []
  const wanted = new Set([...inodes].map((inode) => `socket:[${inode}]`))
  const found: Holder[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const folder = `/proc/${entry}/fd`
      const isHolder = readdirSync(folder).some((fd) => {
        try {
          return wanted.has(readlinkSync(`${folder}/${fd}`))
        } catch {
          return false
        }
      })
      if (isHolder) found.push({ pid: Number(entry), name: processName(Number(entry)) })
    } catch {
      // Another user's process, or gone.
    }
  }
  return found.length > 0 ? found : [{ pid: 0, name: '' }]
}

export const holderText = (holders: readonly Holder[]): string =>
  holders.map(({ pid, name }) => (pid ? `${name} (process ${pid})` : 'a process of another user')).join(', ')

/** Whether `pid` is `ancestor` or was started by it, directly or not. */
export function isWithin(pid: number, ancestor: number): boolean {
  for (let at = pid, steps = 0; at > 1 && steps < 50; steps++) {
    if (at === ancestor) return true
    const stat = read(`/proc/${at}/stat`)
    at = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0)
  }
  return false
}

/** Tries to listen where the config says: the error code, '' when the place is free. */
export function tryListen(listen: string): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host: hostOf(listen), port: portOf(listen), exclusive: true }, () =>
      server.close(() => resolve('')),
    )
  })
}
