/** What the kernel knows of a process: nanoseconds on CPU of all its threads, memory, children. Linux only. */
import { readdirSync, readFileSync } from 'node:fs'

const readOr = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

/** Microseconds that the threads alive in these processes have spent on a CPU. */
export function cpuUs(pids: readonly number[]): number {
  let ns = 0
  for (const pid of pids)
    for (const tid of readdirOr(`/proc/${pid}/task`))
      ns += Number(readOr(`/proc/${pid}/task/${tid}/schedstat`).split(' ', 1)[0])
  return ns / 1000
}

/** As cpuUs, thread by thread: name and microseconds. */
export function threadCpuUs(pid: number): Map<string, number> {
  const threads = new Map<string, number>()
  for (const tid of readdirOr(`/proc/${pid}/task`)) {
    const name = `${readOr(`/proc/${pid}/task/${tid}/comm`).trim()}/${tid}`
    threads.set(name, Number(readOr(`/proc/${pid}/task/${tid}/schedstat`).split(' ', 1)[0]) / 1000)
  }
  return threads
}

const readdirOr = (path: string): string[] => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** Resident memory in bytes; 0 when the process is gone. */
export const rssBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readOr(`/proc/${pid}/status`))?.[1] ?? 0) * 1024

export type Process = { pid: number; parent: number; command: string }

/** All processes below `pid`, itself not among them. */
export function descendants(pid: number): Process[] {
  const all: Process[] = []
  for (const name of readdirOr('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = readOr(`/proc/${name}/stat`)
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    all.push({
      pid: Number(name),
      parent,
      command: readOr(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim(),
    })
  }
  const found: Process[] = []
  const parents = new Set([pid])
  for (let grew = true; grew; ) {
    grew = false
    for (const p of all)
      if (parents.has(p.parent) && !parents.has(p.pid)) {
        parents.add(p.pid)
        found.push(p)
        grew = true
      }
  }
  return found
}

export type CpuTimes = { busy: number; steal: number; all: number }

/** Ticks of the whole machine since boot. */
export function machineTicks(): CpuTimes {
  const t = readOr('/proc/stat').split('\n')[0]!.trim().split(/\s+/).slice(1, 9).map(Number)
  const all = t.reduce((sum, n) => sum + n, 0)
  return { all, steal: t[7] ?? 0, busy: all - (t[3] ?? 0) - (t[4] ?? 0) }
}
