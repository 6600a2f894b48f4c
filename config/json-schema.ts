/** JSON Schema of parts of weir.yaml, for documents that describe them. */
import { z } from 'zod'
import { configSchema } from './schema.ts'

type JsonSchema = Record<string, unknown> & {
  properties?: Record<string, JsonSchema>
  additionalProperties?: JsonSchema
  items?: JsonSchema
}

let whole: JsonSchema | null = null

/** What an entry of a section looks like in the file: of a mapping its values, of a list its items; null for no such section. */
export function entrySchema(section: string): JsonSchema | null {
  whole ??= z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema
  const found = whole.properties?.[section]
  return found?.items ?? found?.additionalProperties ?? null
}
