/** Questions about Weir itself: how far the store is behind, what was lost, how store and collector are. */
import * as freshness from '../queries/freshness.ts'
import * as gaps from '../queries/gaps.ts'
import * as losses from '../queries/losses.ts'
import * as storeHealth from '../queries/store-health.ts'
import * as storeTables from '../queries/store-tables.ts'
import * as unfinished from '../queries/unfinished.ts'
import type { Question } from './questions.ts'

export type MetricRow = { metric: string; labels: string; value: number }

/** Lines of Prometheus text, without buckets of histograms. */
export function metricRows(text: string): MetricRow[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)$/i.exec(line)
    if (!match || match[1]!.endsWith('_bucket')) return []
    return [{ metric: match[1]!, labels: match[2] ?? '', value: Number(match[3]) }]
  })
}

export const HEALTH_QUESTIONS: Readonly<Record<string, Question>> = {
  freshness: {
    about: 'How far the store is behind, and what is missing',
    params: [],
    run: async (reader) => [await freshness.run(reader)],
  },
  losses: {
    about: 'Events given up before they reached the store',
    params: [],
    run: (reader) => losses.run(reader),
  },
  gaps: { about: 'Batches of workers that have not come', params: [], run: (reader) => gaps.gaps(reader) },
  'dead-letters': {
    about: 'Lines that could not become rows',
    params: [],
    run: (reader) => gaps.deadLetters(reader),
  },
  unfinished: {
    about: 'Calls that were forwarded and whose end nobody recorded',
    params: [],
    run: (reader) => unfinished.run(reader),
  },
  store: {
    about: 'The store: version, rows, parts, bytes',
    params: [],
    run: async (reader) => [await storeHealth.run(reader)],
  },
  'store-tables': {
    about: 'What the store holds, by table',
    params: [],
    run: (reader) => storeTables.run(reader),
  },
  collector: {
    about: "This collector's own metrics",
    params: [],
    run: async (_reader, _asked, around) => metricRows((await around?.metrics()) ?? ''),
  },
}
