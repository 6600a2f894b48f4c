/** Where and of what a result was made: every file in bench/results begins with this. */
import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export type Machine = { cpu: string; cores: number; memory_gb: number; kernel: string; node: string }
export type Provenance = {
  scenario: string
  machine: Machine
  commit: string
  date: string
  seed: number
  quick: boolean
  /** 1, 5 and 15 minutes, before and after. */
  load: { before: number[]; after: number[] }
}

const git = (...words: string[]): string => {
  try {
    return execFileSync('git', ['-C', ROOT, ...words], { encoding: 'utf8' }).trim()
  } catch {
    return ''
  }
}

/** Commit of the source that is measured; `+` when files differ from it. */
export const commitOf = (): string =>
  `${git('rev-parse', '--short=12', 'HEAD') || 'unknown'}${git('status', '--porcelain', '--', 'proxy', 'collector', 'store', 'supervisor', 'event', 'config') ? '+' : ''}`

export function machineOf(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: release().match(/^\d+\.\d+/)?.[0] ?? '',
    node: process.versions.node,
  }
}

export const loadNow = (): number[] => loadavg().map((n) => Number(n.toFixed(2)))
