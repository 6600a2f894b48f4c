/**
 * Changes that the admin API makes: one at a time, through config/edit.ts, and taken over by every process before the answer.
 * Invariant: nothing is written on top of a file that is not in force, so that a change is never stuck behind another's mistake.
 */
import { readFileSync } from 'node:fs'
import { restartChanges } from '../config/changes.ts'
import { type Edited, editConfig } from '../config/edit.ts'
import { sha256Hex } from '../config/key-text.ts'
import { parseConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { type Edit, writtenValues } from '../config/splice.ts'
import type { Admitted } from './door.ts'
import { AdminError } from './errors.ts'
import type { Reloaded } from './options.ts'

/** What came of a change. */
export type Changed = {
  /** Paths of the settings that differ now. */
  changed: readonly string[]
  /** SHA-256 of the text of the file; the ETag of what is read next. */
  sha256: string
  /** Whether every worker goes by it. */
  in_force: boolean
  dry_run: boolean
  /** Why it is not in force. */
  reason?: string
}

export type EditRequest = {
  readonly by: Admitted
  readonly dry_run: boolean
  /** The If-Match of the request, without its quotes. */
  readonly expected: string | undefined
}

export type Current = {
  readonly config: Config
  readonly written: Record<string, unknown>
  readonly sha256: string
}

export class Editing {
  readonly #file: string
  /** Has the file taken over, and says what is in force then. */
  readonly #reload: () => Promise<Reloaded>
  #last: Promise<unknown> = Promise.resolve()

  constructor(file: string, reload: () => Promise<Reloaded>) {
    this.#file = file
    this.#reload = reload
  }

  get file(): string {
    return this.#file
  }

  /** What the file says. Throws ConfigError when that does not load. */
  current(): Current {
    const text = readFileSync(this.#file, 'utf8')
    const { config } = parseConfig(text, this.#file)
    const written = (writtenValues(text) ?? {}) as Record<string, unknown>
    return { config, written, sha256: sha256Hex(text) }
  }

  /** What is in force, once the file was read again. */
  state(): Promise<Reloaded> {
    return this.#reload()
  }

  /** Throws AdminError, EditRefused, ConfigError: then nothing was changed. */
  change(request: EditRequest, make: (config: Config) => readonly Edit[]): Promise<Changed> {
    const done = this.#last.then(() => this.#change(request, make))
    this.#last = done.catch(() => {})
    return done
  }

  async #change(
    { by, dry_run, expected }: EditRequest,
    make: (config: Config) => readonly Edit[],
  ): Promise<Changed> {
    const options = { who: by.who, via: 'admin_api', check: refuseRestart } as const
    if (dry_run) {
      const wanted = editConfig(this.#file, make, { ...options, expected, dry_run: true })
      return { ...said(wanted), in_force: false, dry_run: true }
    }
    const before = await this.#reload()
    const text = sha256Hex(readFileSync(this.#file, 'utf8'))
    if (expected !== undefined && expected !== text)
      throw new AdminError(
        409,
        'conflict',
        'the file has changed since it was read',
        'read it again, then change it',
      )
    if (before.sha256 !== text)
      throw new AdminError(
        409,
        'config_not_in_force',
        `the file says something that is not in force: ${before.refused || 'it has just changed'}`,
        'put the file right, or restart Weir to take it over; then ask again',
      )
    const edited = editConfig(this.#file, make, { ...options, expected: text })
    // Written is written: whatever keeps it from being in force is said, not thrown.
    const after = await this.#reload().catch((error: Error) => ({
      sha256: '',
      refused: error.message,
      refused_sha256: '',
    }))
    const in_force = after.sha256 === edited.sha256
    return { ...said(edited), in_force, dry_run: false, ...(in_force ? {} : { reason: after.refused }) }
  }
}

const said = ({ changed, sha256 }: Edited): Pick<Changed, 'changed' | 'sha256'> => ({ changed, sha256 })

function refuseRestart({ before, config }: Edited): void {
  const fixed = restartChanges(before, config)
  if (fixed.length > 0)
    throw new AdminError(
      409,
      'needs_restart',
      `${fixed.join(', ')} cannot change while running`,
      'edit the file and restart Weir',
    )
}
