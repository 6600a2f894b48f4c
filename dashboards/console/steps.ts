/** Rows of a series as even steps: what has no row is nothing, and is drawn as such. */
import type { StepRow } from '../../collector/queries/series.ts'

export type SeriesAnswer = { rows: StepRow[]; step_s: number; from_ms: number; to_ms: number }
export type Steps = {
  t: number[]
  step_s: number
  /** A figure of each step; `otherwise` where nothing was called. */
  of(pick: (row: StepRow) => number, otherwise?: number | null): (number | null)[]
}

export function stepsOf({ rows, step_s, from_ms, to_ms }: SeriesAnswer): Steps {
  const step_ms = step_s * 1000
  const found = new Map(rows.map((row) => [row.t_ms, row]))
  const t = Array.from(
    { length: Math.max(1, Math.ceil((to_ms - from_ms) / step_ms)) },
    (_, i) => from_ms + i * step_ms,
  )
  return {
    t,
    step_s,
    of: (pick, otherwise = null) =>
      t.map((ms) => {
        const row = found.get(ms)
        return row ? pick(row) : otherwise
      }),
  }
}
