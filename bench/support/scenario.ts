/** What a scenario is to the command: a name, and findings that are written as they are. */

/** One promise about a figure. Only `must` fails a run with --gate; `goal` and `info` are shown. */
export type Gate = {
  name: string
  value: number
  limit: number
  unit: string
  kind: 'must' | 'goal' | 'info'
}

/** Rows as they stand in the summary: the first cell names the row. */
export type Table = { title: string; columns: string[]; rows: (string | number)[][] }

export type Findings = {
  /** Everything that was measured, in the scenario's own shape. */
  figures: unknown
  tables: Table[]
  gates: Gate[]
  /** What a reader must know before believing the figures. */
  notes?: string[]
}

export type RunOptions = {
  quick: boolean
  seed: number
  /** A folder that outlives the run, for who has one to keep. */
  data?: string | undefined
  say(line: string): void
}

export type Scenario = {
  readonly name: string
  readonly about: string
  run(options: RunOptions): Promise<Findings>
}

export const holds = (gate: Gate): boolean => gate.value <= gate.limit
