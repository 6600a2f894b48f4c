/**
 * The record of what was changed in the configuration: compares what is taken over with what was in force before (also before a
 * restart), says who wrote it where that is known, and tells the collector until it has it.
 * Invariant: a change is on disk before it counts as recorded; telling it twice is harmless, for its id stays the same.
 */
import { createHash, createHmac } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AuditView, auditView, differences, placeOf } from '../config/audit.ts'
import { chainOf, type EditNote, readNotes } from '../config/edit-notes.ts'
import type { Config } from '../config/schema.ts'
import { CHANGE_VALUE_MAX, CHANGES_MAX, CHANGES_PATH, type ConfigChange } from '../event/config-change.ts'
import type { Log } from '../event/log.ts'

const SEND_EVERY_MS = 500
const SEND_MAX_MS = 5_000
const FINGERPRINT_DIGITS = 12

export type ConfigAuditOptions = {
  /** The data folder. */
  folder: string
  instance: string
  /** Key of the fingerprints, hex. */
  secret: string
  token: string
  /** Where the collector is, '' while that is not known. */
  collector(): string
  log: Log
}

/** What was in force last: kept over restarts, for nobody but the owner of the data folder. */
type Last = { seq: number; text_sha256: string; view: AuditView }

const cut = (text: string): string =>
  text.length <= CHANGE_VALUE_MAX ? text : `${text.slice(0, CHANGE_VALUE_MAX)}… (${text.length} characters)`

/** Whether an edit of `path` may have made a change at `place`. */
const covers = (path: EditNote['paths'][number], place: readonly string[]): boolean =>
  path.slice(0, place.length).every((part, i) => part === place[i])

export class ConfigAudit {
  readonly #options: ConfigAuditOptions
  readonly #pending: string
  #last: Last | null
  #timer: NodeJS.Timeout | null = null
  #telling: Promise<boolean> = Promise.resolve(true)

  constructor(options: ConfigAuditOptions) {
    this.#options = options
    this.#pending = join(options.folder, 'config-changes')
    this.#last = this.#read()
  }

  /** A config is in force. `text_sha256`: of the text it was read from; `isStart`: Weir has just come up with it. */
  taken(config: Config, text_sha256: string, isStart: boolean, now_ms = Date.now()): void {
    const view = auditView(config, (text) => this.#fingerprint(text))
    const last = this.#last
    const seq = (last?.seq ?? 0) + 1
    try {
      if (last) {
        const chain = chainOf(readNotes(config.data), last.text_sha256, text_sha256)
        const changes = differences(last.view, view).map((one): ConfigChange => {
          const note = chain.find(({ paths }) => paths.some((path) => covers(path, placeOf(one))))
          return {
            id: createHash('sha256')
              .update(JSON.stringify([this.#options.instance, seq, one.section, one.name]))
              .digest('hex')
              .slice(0, 32),
            at_ms: now_ms,
            instance: this.#options.instance,
            who: note?.who ?? '',
            via: note?.via ?? (isStart ? 'start' : 'file'),
            section: one.section,
            name: one.name.slice(0, 500),
            before: cut(one.before),
            after: cut(one.after),
          }
        })
        for (let i = 0; i < changes.length; i += CHANGES_MAX)
          this.#write(
            this.#pending,
            `${String(seq).padStart(12, '0')}-${i}.json`,
            changes.slice(i, i + CHANGES_MAX),
          )
      }
      const kept: Last = { seq, text_sha256, view }
      this.#write(this.#options.folder, 'config-audited.json', kept)
      this.#last = kept
    } catch (error) {
      this.#options.log.error('a change of the configuration could not be recorded', {
        reason: (error as Error).message,
      })
    }
    this.#soon(0)
  }

  /** Tells what waits, once more. For a stop: what is not taken now is told after the next start. */
  async flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    await this.#tell()
  }

  #soon(wait_ms: number): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      void this.#tell().then((isDone) => {
        if (!isDone) this.#soon(SEND_EVERY_MS)
      })
    }, wait_ms).unref()
  }

  /** One at a time, so that the order stays. */
  #tell(): Promise<boolean> {
    this.#telling = this.#telling.then(() => this.#send())
    return this.#telling
  }

  /** True when nothing waits any more. */
  async #send(): Promise<boolean> {
    for (const file of this.#files()) {
      const collector = this.#options.collector()
      if (collector === '') return false
      const answer = await fetch(`${collector}${CHANGES_PATH}`, {
        method: 'POST',
        body: readFileSync(join(this.#pending, file)),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#options.token}` },
        signal: AbortSignal.timeout(SEND_MAX_MS),
      }).catch(() => null)
      await answer?.body?.cancel()
      if (!answer?.ok) return false
      rmSync(join(this.#pending, file), { force: true })
    }
    return true
  }

  #files(): string[] {
    try {
      return readdirSync(this.#pending)
        .filter((name) => name.endsWith('.json'))
        .sort()
    } catch {
      return []
    }
  }

  #fingerprint(text: string): string {
    const digest = createHmac('sha256', Buffer.from(this.#options.secret, 'hex')).update(text).digest('hex')
    return `#${digest.slice(0, FINGERPRINT_DIGITS)}`
  }

  #read(): Last | null {
    try {
      return JSON.parse(readFileSync(join(this.#options.folder, 'config-audited.json'), 'utf8')) as Last
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#options.log.warn(
          'what was in force before cannot be read: changes since then are not recorded',
          {
            reason: (error as Error).message,
          },
        )
      return null
    }
  }

  #write(folder: string, name: string, value: unknown): void {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const temporary = join(folder, `.${name}.${process.pid}`)
    writeFileSync(temporary, JSON.stringify(value), { mode: 0o600, flush: true })
    renameSync(temporary, join(folder, name))
  }
}
