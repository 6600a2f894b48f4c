/** What of this machine Weir depends on: Node, ports, disk, descriptors, permissions, and the spool on disk. */
import { readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { portOf } from '../config/address.ts'
import type { Config } from '../config/schema.ts'
import { LOSS_REASONS, parseSegmentFile } from '../event/segment.ts'
import { readLosses } from '../proxy/spool/writer.ts'
import { type RunNote, spoolFolder } from '../supervisor/data-folder.ts'
import { listenersOf, listenSetting, readText, referencesOf, secretWarnings } from './findings.ts'
import { holdersOf, holderText, isWithin } from './ports.ts'
import { byteSize, count, duration } from './terminal.ts'
import { version } from './version.ts'

export type Check = { name: string; state: 'ok' | 'warning' | 'problem'; detail: string; fix: string }

const NODE_MAJOR_MIN = 26
const FREE_PROBLEM = 0.03
const FREE_WARNING = 0.1
const DESCRIPTORS_MIN = 4_096
const SPOOL_AGE_MAX_S = 30

export const ok = (name: string, detail: string): Check => ({ name, state: 'ok', detail, fix: '' })
export const warning = (name: string, detail: string, fix: string): Check => ({
  name,
  state: 'warning',
  detail,
  fix,
})
export const problem = (name: string, detail: string, fix: string): Check => ({
  name,
  state: 'problem',
  detail,
  fix,
})

export function versions(): Check[] {
  const isOld = Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN
  const own = ok('weir', `mcp-weir ${version()}`)
  return [
    own,
    isOld
      ? problem(
          'node',
          process.version,
          `use Node ${NODE_MAJOR_MIN} or later; it comes with the package: run Weir through npm or npx`,
        )
      : ok('node', process.version),
  ]
}

/** The places Weir listens at. While it runs each must be its own; otherwise each must be free. */
export async function ports(config: Config, note: RunNote | null): Promise<Check[]> {
  const known: Record<string, string> = note
    ? {
        ...Object.fromEntries(note.listeners.map((url, i) => [listenSetting(config, i), url])),
        'console.listen': note.console,
        'store.listen': note.store,
      }
    : {}
  const listeners = await listenersOf(config, note?.pid ?? 0)
  return listeners.map(({ setting, address, state, detail }): Check => {
    const name = `port ${setting}`
    if (!note) {
      if (state === 'free') return ok(name, `${address} ${detail}`)
      return problem(
        name,
        `${address} ${detail}`,
        state === 'taken'
          ? `stop that program, or set ${setting} to another port`
          : `set ${setting} to an address of this machine`,
      )
    }
    const url = known[setting]
    if (!url) return ok(name, 'not part of this process')
    const port = portOf(new URL(url).host)
    const holders = holdersOf(port)
    if (holders.length === 0)
      return process.platform === 'linux'
        ? problem(
            name,
            `nobody listens on ${url}, though Weir runs`,
            'look at the log of `weir up`; it restarts what dies',
          )
        : ok(name, url)
    const stranger = holders.find(({ pid }) => pid > 0 && !isWithin(pid, note.pid))
    if (stranger)
      return problem(
        name,
        `${url} is held by ${holderText(holders)}, not by this Weir`,
        `stop that program, or set ${setting} to another port and restart Weir`,
      )
    return ok(
      name,
      `${url} held by ${holders[0]!.pid ? `Weir, process ${holders.map((h) => h.pid).join(', ')}` : 'a process of another user'}`,
    )
  })
}

export function disk(data: string, spool_max_bytes: number): Check {
  let folder = data
  for (
    let up = join(folder, '..');
    !statSync(folder, { throwIfNoEntry: false }) && up !== folder;
    up = join(folder, '..')
  )
    folder = up
  const { bavail, blocks, bsize } = statfsSync(folder)
  const free = bavail * bsize
  const part = blocks > 0 ? bavail / blocks : 1
  const detail = `${byteSize(free)} free (${Math.round(part * 100)} %) where ${data} lies`
  const fix = 'free disk space, shorten `retention`, or set `data` to a larger disk'
  if (part < FREE_PROBLEM) return problem('disk', detail, fix)
  if (part < FREE_WARNING) return warning('disk', detail, fix)
  return free < spool_max_bytes
    ? warning('disk', `${detail}: less than spool.max_bytes (${byteSize(spool_max_bytes)})`, fix)
    : ok('disk', detail)
}

/** Of the running Weir where there is one, else of this shell. */
export function descriptors(note: RunNote | null): Check {
  let limits: string
  try {
    limits = readFileSync(`/proc/${note?.pid ?? 'self'}/limits`, 'utf8')
  } catch {
    return ok('descriptors', 'not known on this system')
  }
  const limit = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1] ?? 'unlimited'
  const whose = note ? 'of the running Weir' : 'of this shell'
  if (limit === 'unlimited' || Number(limit) >= DESCRIPTORS_MIN)
    return ok('descriptors', `at most ${limit} open files ${whose}`)
  return warning(
    'descriptors',
    `at most ${limit} open files ${whose}: each client and each stream takes one`,
    `ulimit -n 65536 before \`weir up\`, or LimitNOFILE=65536 in the systemd unit`,
  )
}

const modeOf = (path: string): number | null => {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat ? stat.mode & 0o777 : null
}

export function permissions(config: Config, file: string): Check[] {
  const checks: Check[] = []
  for (const [path, wanted] of [
    [config.data, '700'],
    [join(config.data, 'secrets.json'), '600'],
  ] as const) {
    const mode = modeOf(path)
    if (mode === null) continue
    const shown = mode.toString(8)
    if ((mode & 0o077) === 0) checks.push(ok('permissions', `${path} is for its owner alone (${shown})`))
    else {
      const isSecret = path.endsWith('secrets.json')
      const make = isSecret ? problem : warning
      checks.push(
        make(
          'permissions',
          `others on this machine can read ${isSecret ? 'the secrets in ' : ''}${path} (mode ${shown})`,
          `chmod ${wanted} ${path}`,
        ),
      )
    }
  }
  for (const { message, fix } of secretWarnings(file, referencesOf(readText(file), file, process.env)))
    checks.push(warning('permissions', message, fix))
  return checks
}

type SpoolState = { segments: number; bytes: number; oldest_ms: number; lost: number; rejected: number }

function spoolState(folder: string): SpoolState | null {
  const state = { segments: 0, bytes: 0, oldest_ms: Date.now(), lost: 0, rejected: 0 }
  let files: string[]
  try {
    files = readdirSync(folder)
  } catch {
    return null
  }
  for (const file of files)
    try {
      if (file.endsWith('.lost')) {
        const losses = readLosses(join(folder, file))
        state.lost += losses ? LOSS_REASONS.reduce((sum, reason) => sum + losses[reason], 0) : 0
      } else if (parseSegmentFile(file)) {
        const { size, mtimeMs } = statSync(join(folder, file))
        if (size === 0) continue
        state.segments++
        state.bytes += size
        state.oldest_ms = Math.min(state.oldest_ms, mtimeMs)
      } else if (file === 'rejected') state.rejected = readdirSync(join(folder, file)).length
    } catch {
      // Shipped between listing and looking.
    }
  return state
}

export function spool(config: Config, note: RunNote | null): Check[] {
  const folder = spoolFolder(config.data)
  const state = spoolState(folder)
  if (!state) return [ok('spool', `there is none yet at ${folder}`)]
  const { segments, bytes, oldest_ms, lost, rejected } = state
  const age_s = segments > 0 ? (Date.now() - oldest_ms) / 1000 : 0
  const waiting = `${count(segments)} segments wait, ${byteSize(bytes)} of ${byteSize(config.spool.max_bytes)}${segments ? `, the oldest for ${duration(age_s * 1e6)}` : ''}`
  const checks: Check[] = []
  if (segments > 0 && !note)
    checks.push(
      warning('spool', `${waiting}; Weir is not running`, 'nothing is lost: the next `weir up` ships them'),
    )
  else if (age_s > SPOOL_AGE_MAX_S)
    checks.push(
      problem(
        'spool',
        `${waiting}: the collector does not take them`,
        'see the checks of collector and store; events are dropped only when spool.max_bytes is reached',
      ),
    )
  else checks.push(ok('spool', waiting))
  if (lost > 0)
    checks.push(
      problem(
        'losses',
        `${count(lost)} events were given up by workers of this run (spool or disk full)`,
        'free disk space or raise spool.max_bytes, and see why the collector was behind',
      ),
    )
  if (rejected > 0)
    checks.push(
      problem(
        'rejected',
        `${count(rejected)} segments were refused by the collector for good: ${join(folder, 'rejected')}`,
        'look at the log for the reason; after a repair move them back into the spool folder',
      ),
    )
  return checks
}
