/**
 * How much memory process groups hold, from /proc (Linux; elsewhere nothing is known). One look serves all groups.
 * A server started by a launcher is a grandchild: what counts is the group, not the child.
 */
import { readdir, readFile } from 'node:fs/promises'

const PROC = '/proc'

/** Resident bytes by group, for those asked about. Processes that end meanwhile count for nothing. */
export async function groupMemory(groups: ReadonlySet<number>): Promise<Map<number, number>> {
  const held = new Map<number, number>()
  const pids = (await readdir(PROC).catch(() => [])).filter((name) => /^\d+$/.test(name))
  await Promise.all(
    pids.map(async (pid) => {
      const group = groupOf(await textOf(`${PROC}/${pid}/stat`))
      if (!groups.has(group)) return
      held.set(group, (held.get(group) ?? 0) + residentOf(await textOf(`${PROC}/${pid}/status`)))
    }),
  )
  return held
}

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')

/** The name of a program stands in brackets and may hold anything. Then: state, parent, group. */
const groupOf = (stat: string): number => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2])

const residentOf = (status: string): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
