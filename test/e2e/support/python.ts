/** A virtual environment with packages from PyPI. Tests that need one are skipped, with a reason, where there is none. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The Python SDK, of both eras. */
export const PYTHON_SDK = 'mcp==2.3.0'

export type Python = {
  /** Why there is none, '' when there is. */
  readonly missing: string
  readonly folder: string
  /** Path of a program of the environment. */
  bin(name: string): string
  remove(): void
}

export async function makePython(packages: readonly string[]): Promise<Python> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-python-'))
  const bin = (name: string): string => join(folder, 'venv/bin', name)
  let missing = ''
  try {
    await run('python3', ['-m', 'venv', join(folder, 'venv')])
    await run(bin('pip'), ['install', '--quiet', '--disable-pip-version-check', ...packages])
  } catch (error) {
    missing = `SKIPPED: no Python SDK to be had: ${String(error).slice(0, 200)}`
  }
  return { missing, folder, bin, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
