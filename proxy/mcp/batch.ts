/**
 * The messages of a JSON-RPC batch as separate texts, each byte as it came (batches: MCP 2025-03-26 only).
 * Works on text that JSON.parse has accepted; never validates.
 */

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

/** The texts of the elements of the array that `text` is, without the whitespace around them. */
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
