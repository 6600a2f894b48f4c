/**
 * The host's log: one JSON line per message on standard error, where the supervisor collects it.
 * Bounded: long texts are cut, and a source that floods is counted instead of written.
 */
import { isLogged, type LogLevel, logLine } from '../../event/log.ts'

export const LOG_TEXT_MAX = 2000

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>

export class Log {
  level: LogLevel
  readonly #write: (line: string) => void

  constructor(level: LogLevel, write: (line: string) => void = (line) => void process.stderr.write(line)) {
    this.level = level
    this.#write = write
  }

  line(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (isLogged(level, this.level)) this.#write(logLine(level, 'host', message, fields))
  }
}

/** Cuts a text for the log. */
export const cut = (text: string, length_max: number = LOG_TEXT_MAX): string =>
  text.length <= length_max ? text : `${text.slice(0, length_max)}… (${text.length} characters)`

/** Lets `lines_per_s` lines a second through and says how many it held back. */
export class LineRate {
  readonly #lines_per_s: number
  readonly #now_ms: () => number
  #window_ms = 0
  #used = 0
  #held = 0

  constructor(lines_per_s: number, now_ms: () => number = Date.now) {
    this.#lines_per_s = lines_per_s
    this.#now_ms = now_ms
  }

  /** -1: hold this line back. Otherwise write it; the number tells how many were held back before it. */
  admit(): number {
    const now = this.#now_ms()
    if (now - this.#window_ms >= 1000) {
      this.#window_ms = now
      this.#used = 0
    }
    if (this.#used >= this.#lines_per_s) {
      this.#held++
      return -1
    }
    this.#used++
    const held = this.#held
    this.#held = 0
    return held
  }
}
