/** What the anomaly detectors look for and how readily they speak up. */
import { z } from 'zod'
import { meta } from './leaves.ts'

/** Everything a finding can be. Order is that of pages and tables. */
export const ANOMALY_KINDS = [
  'latency',
  'errors',
  'volume',
  'silence',
  'cost',
  'result_size',
  'new_tool',
  'off_hours',
  'retry_storm',
  'agent_loop',
  'list_shrinkage',
] as const
export type AnomalyKind = (typeof ANOMALY_KINDS)[number]

export const SENSITIVITIES = ['low', 'medium', 'high'] as const
export type Sensitivity = (typeof SENSITIVITIES)[number]

const MEANINGS: Record<AnomalyKind, string> = {
  latency: 'Calls take longer than usual',
  errors: 'More calls fail, and not by the fault of clients',
  volume: 'Far more or far fewer calls than usual',
  silence: 'No calls at all where there usually are some',
  cost: 'A call costs more or less than usual, for example after a price change',
  result_size: 'Results are larger or smaller than usual',
  new_tool: 'A caller with a history uses a tool for the first time',
  off_hours: 'A caller is active in hours or on days in which it never was',
  retry_storm: 'A caller repeats a failing call again and again',
  agent_loop: 'A run makes the same call with the same arguments over and over',
  list_shrinkage: 'A server lists far fewer tools than it did',
}

const level = z.enum(['off', ...SENSITIVITIES])
const glob = z.string().min(1).max(200)

export const anomalies = z
  .strictObject({
    enabled: z.boolean().default(true).meta(meta('Whether anything is looked for at all')),
    sensitivity: z
      .enum(SENSITIVITIES)
      .default('medium')
      .meta(meta('How small a change is reported: high finds more and errs more often')),
    min_calls: z
      .number()
      .int()
      .min(1)
      .max(100_000)
      .default(20)
      .meta(
        meta(
          'Calls a series needs within 5 to 60 minutes to be judged; with fewer in an hour it says nothing',
          {
            unit: 'calls',
          },
        ),
      ),
    series_max: z
      .number()
      .int()
      .min(10)
      .max(5_000)
      .default(500)
      .meta(meta('Most tools, servers, teams and callers that are followed, busiest first')),
    kinds: z
      .strictObject(
        Object.fromEntries(
          ANOMALY_KINDS.map((kind) => [
            kind,
            level.optional().meta(meta(`${MEANINGS[kind]}; default: as \`sensitivity\``)),
          ]),
        ) as Record<
          AnomalyKind,
          z.ZodOptional<z.ZodEnum<{ off: 'off'; low: 'low'; medium: 'medium'; high: 'high' }>>
        >,
      )
      .prefault({})
      .meta(meta('Sensitivity by kind, or off')),
    ignore: z
      .array(
        z
          .strictObject({
            kind: z.enum(ANOMALY_KINDS).optional().meta(meta('Only findings of this kind')),
            server: glob.optional().meta(meta('Servers, with * as wildcard')),
            tool: glob.optional().meta(meta('Tools by their own name, with * as wildcard')),
            caller: glob.optional().meta(meta('Callers, with * as wildcard')),
            team: glob.optional().meta(meta('Teams, with * as wildcard')),
          })
          .refine((rule) => Object.values(rule).some((value) => value !== undefined), {
            message:
              'a rule that names nothing would ignore everything; name what it is about, for example server: sandbox-*',
          }),
      )
      .default([])
      .meta(meta('What is never reported: all words of a rule must fit')),
  })
  .prefault({})
  .meta(meta('Findings: what is unlike it usually is'))

/** The section with its defaults, as the collector gets it. */
export type AnomalyOptions = z.infer<typeof anomalies>

/** Sensitivity of one kind; null when it is off. */
export function sensitivityOf(options: AnomalyOptions, kind: AnomalyKind): Sensitivity | null {
  const own = options.kinds[kind]
  return !options.enabled || own === 'off' ? null : (own ?? options.sensitivity)
}
