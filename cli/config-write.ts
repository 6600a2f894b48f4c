/**
 * Commands that change weir.yaml: the edit, in the name of who runs the command, and whether what runs here has taken it over.
 * Variables that are not set in this shell do not stop an edit: they are Weir's, not ours.
 */
import { hostname, userInfo } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { type Edited, editConfig } from '../config/edit.ts'
import type { Config } from '../config/schema.ts'
import { type Edit, EditRefused } from '../config/splice.ts'
import { readNote } from '../supervisor/data-folder.ts'
import { withoutVariables } from './installation.ts'
import { clean } from './terminal.ts'
import { CliError } from './verb.ts'

const IN_FORCE_MAX_MS = 10_000
const LOOK_MS = 25

/** in_force: every worker goes by it; stopped: the next start will; refused: what runs keeps the old one, and why. */
export type Taken = { state: 'in_force' | 'stopped' } | { state: 'refused' | 'unknown'; reason: string }

/** Who runs the command: the person behind sudo, if any. */
export function whoAmI(): string {
  let name = process.env.SUDO_USER ?? ''
  if (name === '')
    try {
      name = userInfo().username
    } catch {
      name = 'unknown'
    }
  return `${name}@${hostname()}`.slice(0, 100)
}

/** Edits the config file of a command. Throws CliError, ConfigError. */
export function write(file: string, make: (config: Config) => readonly Edit[]): Edited {
  try {
    return withoutVariables((env) => editConfig(file, make, { who: whoAmI(), via: 'command', env }))
  } catch (error) {
    if (error instanceof EditRefused) throw new CliError(clean(error.message), clean(error.fix))
    throw error
  }
}

/** Waits until the Weir that runs here has taken an edit over, or has refused it. */
export async function untilTaken({ config, sha256 }: Edited): Promise<Taken> {
  const end_ms = Date.now() + IN_FORCE_MAX_MS
  for (;;) {
    const note = readNote(config.data)
    if (note === null) return { state: 'stopped' }
    if (note.config?.sha256 === sha256) return { state: 'in_force' }
    if (note.config?.refused_sha256 === sha256)
      return { state: 'refused', reason: clean(note.config.refused) }
    if (Date.now() > end_ms)
      return {
        state: 'unknown',
        reason: `what runs here has not taken it over within ${IN_FORCE_MAX_MS / 1000} seconds`,
      }
    await pause(LOOK_MS)
  }
}

/** What to say of it. */
export function takenText(taken: Taken): string {
  switch (taken.state) {
    case 'in_force':
      return 'in force on every worker'
    case 'stopped':
      return 'written; Weir is not running here, its next start takes it over'
    default:
      return `written, but NOT IN FORCE: ${taken.reason}`
  }
}

export const isInForce = (taken: Taken): boolean => taken.state === 'in_force' || taken.state === 'stopped'
