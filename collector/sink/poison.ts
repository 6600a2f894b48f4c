/**
 * Finds the rows of a batch that the store cannot read, by letting it read halves without storing them.
 * Nothing is written on the way: a batch keeps its one token, whatever is found here.
 */
import { COLUMNS, columnType } from '../schema/columns.ts'
import { type Store, StoreError } from './store.ts'

/** What the store is to read a line of `calls` as. */
const STRUCTURE = [
  ...COLUMNS.map(({ name, definition }) => `${name} ${columnType(definition)}`),
  'batch_id String',
].join(', ')

/** More than this is no poison but a defect of ours: the batch stays with its sender until that is mended. */
const POISON_MAX = 100

export type Poison = { index: number; error: string }

/**
 * Indexes into `lines` of all rows that the store refuses for their content, in order. None at all when there are too many.
 * Throws what is not about content.
 */
export async function findPoison(store: Store, lines: readonly string[]): Promise<Poison[]> {
  const found: Poison[] = []
  const search = async (from: number, to: number): Promise<void> => {
    if (found.length > POISON_MAX) return
    try {
      await store.tryParse(STRUCTURE, Buffer.from(`${lines.slice(from, to).join('\n')}\n`))
    } catch (error) {
      if (!(error instanceof StoreError && error.kind === 'content')) throw error
      if (to - from === 1) {
        found.push({ index: from, error: error.message })
        return
      }
      const middle = (from + to) >>> 1
      await search(from, middle)
      await search(middle, to)
    }
  }
  if (lines.length > 0) await search(0, lines.length)
  return found.length > POISON_MAX ? [] : found
}
