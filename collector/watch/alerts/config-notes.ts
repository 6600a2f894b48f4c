/**
 * Rows of `annotations`: a moment on the charts for every config the collector runs with (paths of settings, never values), and
 * for every share of a limit that is reached.
 */
import type { LimitNote } from '../../../limits/messages.ts'
import { compactLines, type Store } from '../../sink/store.ts'
import type { AlertOptions } from './options.ts'

const COLUMNS = ['id', 'ts', 'kind', 'title', 'detail', 'server', 'tool']
const DETAIL_MAX = 2_000

/** The same config noted twice, by a collector that came back or by two of them, is one row. */
export function writeConfigNote(
  store: Store,
  instance: string,
  { taken_ms, changed }: AlertOptions['config'],
): Promise<void> {
  const id = `config:${instance}:${taken_ms}`
  const detail = changed.length > 0 ? changed.join(', ').slice(0, DETAIL_MAX) : 'Weir started'
  const row = [id, taken_ms, 'config', 'configuration taken over', detail, '', '']
  return store.insert('annotations', COLUMNS, compactLines([row]), id)
}

export function writeLimitNote(store: Store, instance: string, note: LimitNote): Promise<void> {
  const id = `limit:${instance}:${note.id}`
  const row = [id, note.ts_ms, 'limit', note.title, note.detail.slice(0, DETAIL_MAX), '', '']
  return store.insert('annotations', COLUMNS, compactLines([row]), id)
}
