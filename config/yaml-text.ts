/**
 * A YAML text as read: what else is done with it, checking and editing, goes by one reading, for that is most of the work with a
 * long file. Pure.
 */
import { type Document, isScalar, LineCounter, type ParsedNode, parseDocument, visit } from 'yaml'

export type YamlText = {
  readonly text: string
  readonly document: Document.Parsed
  readonly lines: LineCounter
  /** Keys that stand in a mapping for the second time. */
  readonly repeated: readonly ParsedNode[]
}

export function readYaml(text: string): YamlText {
  const lines = new LineCounter()
  // The library compares every key with every other: half of the time with a thousand callers.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false })
  const repeated: ParsedNode[] = []
  visit(document, {
    Map(_key, map) {
      const seen = new Set<unknown>()
      for (const { key } of map.items) {
        const name = isScalar(key) ? key.value : key
        if (seen.has(name)) repeated.push(key as ParsedNode)
        seen.add(name)
      }
    },
  })
  return { text, document, lines, repeated }
}

/** Whether it is YAML, as far as the text alone tells. */
export const isSound = ({ document, repeated }: YamlText): boolean =>
  document.errors.length === 0 && repeated.length === 0
