/** Settings of agent runs: which clues tell them apart where clients say nothing themselves. */
import { z } from 'zod'
import { meta } from './leaves.ts'

export const RUN_EVIDENCE = ['request_ids', 'connection', 'handles'] as const

export const runs = z
  .strictObject({
    evidence: z
      .array(z.enum(RUN_EVIDENCE))
      .default([...RUN_EVIDENCE])
      .meta(
        meta(
          'What tells agents of one caller apart, besides `trace.run_gap_ms`, when they bring neither label, session nor trace: how a client introduces itself and counts its request ids, its connection (leave it out behind a proxy that shares connections between clients), handles that a result held and later arguments use. Empty: the pause alone',
        ),
      ),
  })
  .prefault({})
  .meta(meta('Agent runs'))
