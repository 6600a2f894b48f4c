/**
 * JSON-RPC batches (MCP 2025-03-26 and older): whether one may be served, and its messages as separate texts, each byte
 * as it came. Pure. Source: MCP 2025-03-26, basic/transports.
 */
import { claimsModern, isMessage } from './ladder.ts'

const STRUCTURE = /["{}[\],]/g
const BACKSLASH = 92

/** Index of the quote that ends the string opened at `i`. */
function stringEnd(text: string, i: number): number {
  for (let end = text.indexOf('"', i + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}

/** The texts of the elements of the array that `text` is, without the whitespace around them. JSON.parse has accepted it. */
export function elementsOf(text: string): string[] {
  const elements: string[] = []
  let depth = 0
  let start = text.indexOf('[') + 1
  STRUCTURE.lastIndex = start
  for (let m = STRUCTURE.exec(text); m !== null; m = STRUCTURE.exec(text)) {
    const mark = m[0]
    if (mark === '"') STRUCTURE.lastIndex = stringEnd(text, m.index) + 1
    else if (mark === '{' || mark === '[') depth++
    else if (depth > 0) depth -= mark === ',' ? 0 : 1
    else {
      const element = text.slice(start, m.index).trim()
      if (element !== '') elements.push(element)
      if (mark === ']') return elements
      start = m.index + 1
    }
  }
  return elements
}

/** Newest revision whose clients may send batches. */
export const BATCH_VERSION_LAST = '2025-03-26'

/** Why a batch is refused as a whole, and which element (-1: none in particular) is the reason. */
export type BatchFault = {
  readonly code:
    | 'batch_empty'
    | 'batch_unsupported'
    | 'batch_element'
    | 'batch_initialize'
    | 'batch_too_large'
  readonly index: number
}

/**
 * What keeps a batch from being served, in the order of the ladder; null when nothing does. All or nothing: a client
 * whose batch is broken in one place must not find half of it done. `version`: of its header, '' for none.
 */
export function batchFault(batch: readonly unknown[], version: string, max: number): BatchFault | null {
  if (batch.length === 0) return { code: 'batch_empty', index: -1 }
  if (version > BATCH_VERSION_LAST) return { code: 'batch_unsupported', index: -1 }
  if (batch.length > max) return { code: 'batch_too_large', index: -1 }
  const at = (code: BatchFault['code'], is: (element: unknown) => boolean): BatchFault | null => {
    const index = batch.findIndex(is)
    return index < 0 ? null : { code, index }
  }
  return (
    at('batch_unsupported', claimsModern) ??
    at('batch_element', (element) => !isMessage(element)) ??
    at('batch_initialize', (element) => (element as { method?: unknown }).method === 'initialize')
  )
}
