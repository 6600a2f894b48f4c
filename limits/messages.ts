/** What workers and the keeper of counts tell each other. Plain data: it travels over IPC. */
import type { Need, Refusal } from './bank.ts'

/** One call: what it needs (all or nothing), and what is only watched, each for itself. */
export type Ask = { needs: readonly Need[]; shadow: readonly Need[] }
/** Units lent for each need, -1 for none and soon; why it was refused; or that nobody could tell. */
export type Answer = {
  lent: readonly number[] | null
  refusal: Refusal | null
  /** The store of the fleet is away, and the config says that calls wait for it. */
  isAway: boolean
  /** For each of `shadow`: units lent, or null where it would have refused. */
  shadow: readonly (number | null)[]
}
/** Units of a key that are no longer held, and how many of them come back. `taken_ms`: when they were taken, wall clock. */
export type Settled = readonly [key: string, dropped: number, back: number, taken_ms: number]

/** Nano-dollars that calls of a day (its first moment, UTC) have cost, as the store knows it. */
export type SpentRow = {
  day_ms: number
  team: string
  project: string
  caller: string
  agent: string
  server: string
  tool: string
  spent_nano: number
}

/** A moment for charts: a share of a limit is reached. The same `id` twice is one. */
export type LimitNote = { id: string; ts_ms: number; title: string; detail: string }
