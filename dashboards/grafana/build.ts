/** Writes built/<board>.json from the boards: what Grafana is provisioned with. Committed, and the same at every run. */
import { writeFileSync } from 'node:fs'
import { type Board, build } from './board.ts'
import { cost } from './cost.ts'
import { health } from './health.ts'
import { overview } from './overview.ts'
import { security } from './security.ts'
import { tools } from './tools.ts'
import { trace } from './trace.ts'
import { usage } from './usage.ts'

export const BOARDS: Readonly<Record<string, Board>> = {
  overview,
  tools,
  trace,
  cost,
  security,
  health,
  usage,
}

/** File name → text of every board. */
export function files(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(BOARDS).map(([name, board]) => [
      `${name}.json`,
      `${JSON.stringify(build(board), null, 2)}\n`,
    ]),
  )
}

if (import.meta.main)
  for (const [name, text] of Object.entries(files()))
    writeFileSync(new URL(`built/${name}`, import.meta.url), text)
