/**
 * Runs the official conformance suite, against a server's URL or with a client's command, and reads what it wrote: every
 * check of every scenario. Two packages, because 0.1.16 has scenarios that the dated one dropped. Knows nothing of Weir.
 */
import { spawn } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ROOT } from '../e2e/support/observed.ts'

export type SuiteName = '0.1.16 all' | '2025-11-25' | '2026-07-28' | '2025-06-18'

export const CLIENT_SUITES = [
  { name: 'client 2025-11-25', era: 'legacy' },
  { name: 'client 2026-07-28', era: 'modern' },
] as const
export type ClientSuiteName = (typeof CLIENT_SUITES)[number]['name']

const SUITES: Record<SuiteName, { pack: string; args: readonly string[] }> = {
  '0.1.16 all': { pack: 'conformance-legacy', args: ['--suite', 'all'] },
  '2025-11-25': { pack: 'conformance-dated', args: ['--requirements', '2025-11-25'] },
  '2026-07-28': { pack: 'conformance-dated', args: ['--requirements', '2026-07-28', '--timeout', '30000'] },
  '2025-06-18': { pack: 'conformance-dated', args: ['--suite', 'all', '--spec-version', '2025-06-18'] },
}

export class Results {
  /** Status by `<scenario>/<check>`; a check that comes several times gets `#2`, `#3`, …. */
  readonly checks: ReadonlyMap<string, string>
  readonly exit_code: number

  constructor(checks: ReadonlyMap<string, string>, exit_code: number) {
    this.checks = checks
    this.exit_code = exit_code
  }

  /** Those of some checks alone. */
  only(isWanted: (check: string) => boolean): Results {
    return new Results(new Map([...this.checks].filter(([check]) => isWanted(check))), this.exit_code)
  }
}

/** `<passed>/<failed>` */
export const tally = ({ checks }: Results): string =>
  ['SUCCESS', 'FAILURE'].map((s) => [...checks.values()].filter((status) => status === s).length).join('/')

export const scenarioOf = (check: string): string => check.slice(0, check.lastIndexOf('/'))

type Check = { id: string; status: string }

/** Runs a suite against `url`. */
export function runSuite(name: SuiteName, url: string): Promise<Results> {
  const { pack, args } = SUITES[name]
  return run(`${name} ${url}`, pack, ['server', '--url', url, ...args])
}

/** Runs a client suite: `command` gets the URL of a server as its last argument, once a scenario, all at a time. */
export function runClientSuite(name: ClientSuiteName, command: readonly string[]): Promise<Results> {
  const requirements = name.slice('client '.length)
  const words = ['client', '--command', command.join(' '), '--requirements', requirements]
  return run(`${name} ${command[0]}`, 'conformance-dated', words)
}

async function run(what: string, pack: string, words: readonly string[]): Promise<Results> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-conformance-'))
  const program = join(ROOT, 'node_modules', pack, 'dist', 'index.js')
  const exit_code = await new Promise<number>((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...words, '-o', folder], { stdio: 'ignore' })
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
  try {
    return new Results(readChecks(folder), exit_code)
  } finally {
    if (process.env.KEEP_RESULTS) process.stderr.write(`${what}: ${folder}\n`)
    else rmSync(folder, { recursive: true, force: true })
  }
}

function readChecks(folder: string): Map<string, string> {
  const checks = new Map<string, string>()
  // A scenario with a slash in its name stands in a folder of a folder.
  for (const file of globSync('**/checks.json', { cwd: folder }).sort()) {
    const scenario = dirname(file)
      .replace(/^server-/, '')
      .replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '')
    const list = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Check[]
    for (const { id, status } of list) {
      // The client leg's record of what went over the wire, which a bridge may do in more steps.
      if (id === 'incoming-request' || id === 'outgoing-response') continue
      let key = `${scenario}/${id}`
      for (let n = 2; checks.has(key); n++) key = `${scenario}/${id}#${n}`
      checks.set(key, status)
    }
  }
  return checks
}

/** Checks that did not end alike, `<check>: <direct> → <through>`. */
export function differences(direct: Results, through: Results): Map<string, string> {
  const found = new Map<string, string>()
  for (const key of new Set([...direct.checks.keys(), ...through.checks.keys()])) {
    const before = direct.checks.get(key) ?? 'absent'
    const after = through.checks.get(key) ?? 'absent'
    if (before !== after) found.set(key, `${before} → ${after}`)
  }
  return found
}
