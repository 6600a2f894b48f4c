/** Silences in the store: made, ended, and which of them keeps an alert quiet now. */
import { compileMatchers, type Labels, type Matcher } from '../../../config/matchers.ts'
import type { Reader } from '../../queries/client.ts'
import { run as readSilences } from '../../queries/silences.ts'
import { compactLines, type Store } from '../../sink/store.ts'

/** Times in milliseconds since 1970. */
export type Silence = {
  readonly id: string
  readonly matchers: readonly Matcher[]
  readonly starts_ms: number
  readonly ends_ms: number
  readonly created_by: string
  readonly comment: string
}

const COLUMNS = ['id', 'matchers', 'starts_at', 'ends_at', 'created_by', 'comment', 'updated_at']

/** A silence written again under its id takes the place of the one before. */
export function writeSilence(store: Store, silence: Silence, now_ms: number): Promise<void> {
  const { id, matchers, starts_ms, ends_ms, created_by, comment } = silence
  const row = [id, matchers, starts_ms, ends_ms, created_by, comment, now_ms]
  return store.insert('silences', COLUMNS, compactLines([row]), `silence:${id}:${now_ms}`)
}

/** Id of a silence that keeps labels quiet; '' when none does. */
export type Silencer = (labels: Labels, now_ms: number) => string

/** The silences in force. One that this version cannot read keeps nothing quiet, and is told. */
export async function openSilencer(reader: Reader, onUnreadable: (id: string) => void): Promise<Silencer> {
  const rows = await readSilences(reader, { only: 'running' })
  const compiled = rows.flatMap((row) => {
    try {
      const isMeant = compileMatchers(row.matchers as Matcher[])
      return row.matchers.length === 0 ? [] : [{ row, isMeant }]
    } catch {
      onUnreadable(row.id)
      return []
    }
  })
  return (labels, now_ms) =>
    compiled.find(({ row, isMeant }) => row.starts_ms <= now_ms && now_ms < row.ends_ms && isMeant(labels))
      ?.row.id ?? ''
}
