/** What the kernel says about processes: children, roles, memory, state. Linux only. */
import { readdirSync, readFileSync } from 'node:fs'

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

export type Role = 'admin' | 'store' | 'collector' | 'host' | 'worker'
const ROLES: readonly [Role, RegExp][] = [
  ['admin', /admin\/main\.[jt]s/],
  ['store', /store\/main\.[jt]s/],
  ['collector', /collector\/main\.[jt]s/],
  ['host', /proxy\/host\/main\.[jt]s/],
  ['worker', /proxy\/main\.[jt]s/],
]

/** Children of a process, by what they do. */
export function childrenOf(pid: number): { pid: number; role: Role | '' }[] {
  const found: { pid: number; role: Role | '' }[] = []
  for (const task of readdirIfThere(`/proc/${pid}/task`))
    for (const child of read(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number)) {
      const command = read(`/proc/${child}/cmdline`).replaceAll('\0', ' ')
      found.push({ pid: child, role: ROLES.find(([, pattern]) => pattern.test(command))?.[0] ?? '' })
    }
  return found
}

function readdirIfThere(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** A process that is gone, or dead and not yet waited for, is not alive. */
export function isAlive(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`)
  return stat !== '' && stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z'
}

/** Resident memory now and at its highest. */
export function memoryOf(pid: number): { rss_bytes: number; peak_bytes: number } {
  const status = read(`/proc/${pid}/status`)
  const kb = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * 1024
  return { rss_bytes: kb('VmRSS'), peak_bytes: kb('VmHWM') }
}

export const openFilesOf = (pid: number): number => readdirIfThere(`/proc/${pid}/fd`).length

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
