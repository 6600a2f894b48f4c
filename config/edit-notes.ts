/**
 * Who edited weir.yaml: a note beside the data for every edit that Weir itself makes, so that the record of changes can name who
 * made what the next reload takes over. A change without a note came with an editor. No values, only paths.
 * Invariant: a note counts only as a link of the chain from the text in force to the text taken over.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type EditNote = {
  /** SHA-256 of the text before and after. */
  readonly before: string
  readonly after: string
  /** Milliseconds since 1970. */
  readonly at_ms: number
  readonly who: string
  readonly via: 'command' | 'admin_api'
  /** Paths of what was changed, as lists of keys. */
  readonly paths: readonly (readonly (string | number)[])[]
}

const NOTES_MAX = 500
const noteFile = (data: string): string => join(data, 'config-edits.json')

/** Notes of a data folder, oldest first. A file that cannot be read names nobody. */
export function readNotes(data: string): EditNote[] {
  try {
    const notes: unknown = JSON.parse(readFileSync(noteFile(data), 'utf8'))
    return Array.isArray(notes) ? (notes as EditNote[]) : []
  } catch {
    return []
  }
}

/** Only under the lock of the edit. */
export function addNote(data: string, note: EditNote): void {
  mkdirSync(data, { recursive: true, mode: 0o700 })
  const notes = [...readNotes(data), note].slice(-NOTES_MAX)
  const temporary = `${noteFile(data)}.${process.pid}`
  writeFileSync(temporary, JSON.stringify(notes), { mode: 0o600 })
  renameSync(temporary, noteFile(data))
}

/** The notes that lead from one text to another, newest first; none when the newest text is of no note. */
export function chainOf(notes: readonly EditNote[], from: string, to: string): EditNote[] {
  const chain: EditNote[] = []
  let at = to
  for (let i = notes.length - 1; i >= 0 && at !== from; i--) {
    const note = notes[i]!
    if (note.after !== at) continue
    chain.push(note)
    at = note.before
  }
  return chain
}
