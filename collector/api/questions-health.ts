/** Questions about Weir itself: how far the store is behind, what was lost, how the store is. */
import * as freshness from '../queries/freshness.ts'
import type { Question } from './questions.ts'

export const HEALTH_QUESTIONS: Readonly<Record<string, Question>> = {
  freshness: {
    about: 'How far the store is behind, and what is missing',
    params: [],
    run: async (reader) => [await freshness.run(reader)],
  },
}
