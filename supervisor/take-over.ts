/**
 * Taking over a new config: everywhere or nowhere, one at a time, in the order they came. Holds which text is in force and why a
 * newer one is not. Knows no process: whoever does applies the config.
 */
import type { Reloaded } from '../admin/options.ts'
import { restartChanges } from '../config/changes.ts'
import type { Config } from '../config/schema.ts'

export type TakeOverHooks = {
  /** The config in force. */
  config(): Config
  /** Hands a config to every process. Rejects when one of them keeps the old one. */
  apply(next: Config): Promise<void>
  /** A config is in force, by the text with this SHA-256. */
  onTaken(config: Config, sha256: string): void
  /** What `state` says has changed. */
  onState(): void
  onResult(result: 'done' | 'refused' | 'failed'): void
}

export class TakeOver {
  readonly #hooks: TakeOverHooks
  #last: Promise<void> = Promise.resolve()
  state: Reloaded
  /** Reads the config file again, and resolves when that is over. Set by whoever knows how. */
  reread: () => Promise<void> = async () => {}

  constructor(sha256: string, hooks: TakeOverHooks) {
    this.#hooks = hooks
    this.state = { sha256, refused: '', refused_sha256: '' }
  }

  /** Throws, and says why, when the old one stays. `isForced`: also when nothing differs. */
  reload(config: Config, sha256: string, isForced: boolean): Promise<void> {
    const done = this.#last.then(() => this.#reload(config, sha256, isForced))
    this.#last = done.catch(() => {})
    return done
  }

  /** What the file says now is not in force: whoever wrote it can read that, and why. */
  refused(reason: string, refused_sha256: string): void {
    this.state = { ...this.state, refused: reason, refused_sha256 }
    this.#hooks.onState()
  }

  /** Reads the file again; resolves with what is in force then. */
  async ask(): Promise<Reloaded> {
    await this.reread()
    return this.state
  }

  async #reload(config: Config, sha256: string, isForced: boolean): Promise<void> {
    const { apply, onResult, onTaken, onState } = this.#hooks
    const before = this.#hooks.config()
    const fixed = restartChanges(before, config)
    if (fixed.length > 0) {
      onResult('refused')
      throw new Error(`${fixed.join(', ')} cannot change while running; restart Weir to take it over`)
    }
    if (isForced || JSON.stringify(before) !== JSON.stringify(config)) {
      try {
        await apply(config)
      } catch (error) {
        await apply(before).catch(() => {})
        onResult('failed')
        throw error
      }
      onResult('done')
    }
    this.state = { sha256, refused: '', refused_sha256: '' }
    onState()
    onTaken(config, sha256)
  }
}
