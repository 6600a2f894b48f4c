/**
 * Brings the prices of context from the config into the store, where the views find them. Written only when they differ:
 * the table keeps what was in force last, and a price that was taken out of the config is taken out here too.
 */
import { type ContextConfig, picoPerToken } from '../../config/context.ts'
import { compactLines, type Store } from '../sink/store.ts'
import type { Job } from './watch.ts'

const EVERY_MS = 5_000
const COLUMNS = ['team', 'pico_per_token', 'is_set', 'set_at']

type Row = { team: string; pico: number; is_set: number; set_ms: number }

export const contextPrices = (store: Store, config: () => ContextConfig): Job => ({
  name: 'context_prices',
  every_ms: EVERY_MS,
  async run(now_ms) {
    const wanted = picoPerToken(config())
    const rows = await store.rows<Row>(
      `SELECT team, toInt64(argMax(p.pico_per_token, p.set_at)) AS pico, argMax(p.is_set, p.set_at) AS is_set,
         toUnixTimestamp64Milli(max(p.set_at)) AS set_ms
       FROM ${store.database}.context_prices AS p GROUP BY team`,
    )
    const known = new Map(rows.map((row) => [row.team, row]))
    const changed = [...new Set([...wanted.keys(), ...known.keys()])].filter((team) => {
      const row = known.get(team)
      return wanted.get(team) !== (row?.is_set ? Number(row.pico) : undefined)
    })
    if (changed.length === 0) return
    // Later than what stands there, also when that was written by a clock that is ahead.
    const values = changed.map((team) => [
      team,
      wanted.get(team) ?? 0,
      wanted.has(team) ? 1 : 0,
      Math.max(now_ms, Number(known.get(team)?.set_ms ?? 0) + 1),
    ])
    await store.insert('context_prices', COLUMNS, compactLines(values), `context:${JSON.stringify(values)}`)
  },
})
