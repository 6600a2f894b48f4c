/** Settings of validation: whether arguments and results are held against the schemas that servers give for their tools. */
import { z } from 'zod'
import { meta } from './leaves.ts'

export const STRICTNESS = ['off', 'observe', 'enforce'] as const
export type Strictness = (typeof STRICTNESS)[number]

export const validation = z
  .strictObject({
    arguments: z
      .enum(STRICTNESS)
      .default('off')
      .meta(
        meta(
          "Arguments of tools/call against the tool's input schema. observe: noted on the event; enforce: answered with what is wrong, and not forwarded",
        ),
      ),
    results: z
      .enum(STRICTNESS)
      .default('off')
      .meta(
        meta(
          "Structured results against the tool's output schema. observe: noted on the event; enforce: replaced by an error that says what is wrong",
        ),
      ),
    servers: z
      .array(z.string().min(1).max(200))
      .min(1)
      .default(['*'])
      .meta(meta('Which servers, with * as wildcard', { example: ['bank', 'crm-*'] })),
  })
  .prefault({})
  .meta(meta('Arguments and results against the schemas of the tools'))
