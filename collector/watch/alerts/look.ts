/** What every kind of rule is given to look with. */
import type { Reader } from '../../queries/client.ts'
import type { SloCounts } from './objectives.ts'

export type Look = {
  readonly reader: Reader
  readonly now_ms: number
  /** Where windows end: far enough back that what happened before is in the store. */
  readonly to_ms: number
  /** Base of links to the console, and page of the runbook. */
  readonly console_url: string
  readonly runbook_url: string
  /** Rejects when they cannot be counted. */
  readonly slos: Promise<readonly SloCounts[]>
}

/** Each question once, whoever asks. */
export type Once = <T>(key: string, ask: () => Promise<T>) => Promise<T>
