/**
 * Runs the official conformance suite against one URL and reads what it wrote: every check of every scenario.
 * Two packages, because 0.1.16 has scenarios that the dated one dropped. Knows nothing of Weir.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../e2e/support/observed.ts'

export type SuiteName = '0.1.16 all' | '2025-11-25' | '2026-07-28' | '2025-06-18'

const SUITES: Record<SuiteName, { pack: string; args: readonly string[] }> = {
  '0.1.16 all': { pack: 'conformance-legacy', args: ['--suite', 'all'] },
  '2025-11-25': { pack: 'conformance-dated', args: ['--requirements', '2025-11-25'] },
  '2026-07-28': { pack: 'conformance-dated', args: ['--requirements', '2026-07-28', '--timeout', '30000'] },
  '2025-06-18': { pack: 'conformance-dated', args: ['--suite', 'all', '--spec-version', '2025-06-18'] },
}

export type Results = {
  /** Status by `<scenario>/<check>`; a check that comes several times gets `#2`, `#3`, …. */
  readonly checks: ReadonlyMap<string, string>
  readonly passed: number
  readonly failed: number
  readonly exit_code: number
}

type Check = { id: string; status: string }

/** Runs a suite against `url`. */
export async function runSuite(name: SuiteName, url: string): Promise<Results> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-conformance-'))
  const { pack, args } = SUITES[name]
  const program = join(ROOT, 'node_modules', pack, 'dist', 'index.js')
  const exit_code = await new Promise<number>((resolve, reject) => {
    const child = spawn(process.execPath, [program, 'server', '--url', url, ...args, '-o', folder], {
      stdio: 'ignore',
    })
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
  try {
    return { ...readChecks(folder), exit_code }
  } finally {
    if (process.env.KEEP_RESULTS) process.stderr.write(`${name} ${url}: ${folder}\n`)
    else rmSync(folder, { recursive: true, force: true })
  }
}

function readChecks(folder: string): Omit<Results, 'exit_code'> {
  const checks = new Map<string, string>()
  let passed = 0
  let failed = 0
  for (const entry of readdirSync(folder).sort()) {
    const scenario = entry.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '')
    const list = JSON.parse(readFileSync(join(folder, entry, 'checks.json'), 'utf8')) as Check[]
    for (const { id, status } of list) {
      let key = `${scenario}/${id}`
      for (let n = 2; checks.has(key); n++) key = `${scenario}/${id}#${n}`
      checks.set(key, status)
      if (status === 'SUCCESS') passed++
      else if (status === 'FAILURE') failed++
    }
  }
  return { checks, passed, failed }
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
