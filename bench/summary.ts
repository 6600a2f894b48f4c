/** bench/results/summary.md from the JSON files beside it: the same files always make the same text. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Provenance } from './support/machine.ts'
import { type Findings, holds } from './support/scenario.ts'

type Result = Provenance & Findings

const cell = (value: string | number): string => String(value).replaceAll('|', '\\|')
const row = (cells: readonly (string | number)[]): string => `| ${cells.map(cell).join(' | ')} |`

function section(result: Result): string {
  const { machine, load } = result
  const lines = [
    `## ${result.scenario}`,
    '',
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; commit ${result.commit}, ${result.date}, seed ${result.seed}${result.quick ? ', **quick run: do not quote**' : ''}; load average ${load.before[0]} before, ${load.after[0]} after.`,
    '',
  ]
  for (const table of result.tables)
    lines.push(
      `**${table.title}**`,
      '',
      row(table.columns),
      row(table.columns.map(() => '---')),
      ...table.rows.map(row),
      '',
    )
  if (result.gates.length > 0)
    lines.push(
      row(['gate', 'measured', 'limit', 'kind', '']),
      row(['---', '---', '---', '---', '---']),
      ...result.gates.map((g) =>
        row([
          g.name,
          `${g.value} ${g.unit}`,
          `${g.limit} ${g.unit}`,
          g.kind,
          holds(g) ? 'holds' : 'does not hold',
        ]),
      ),
      '',
    )
  for (const note of result.notes ?? []) lines.push(`- ${note}`)
  if (result.notes?.length) lines.push('')
  return lines.join('\n')
}

export function writeSummary(folder: string): void {
  const results = readdirSync(folder)
    .filter((f) => f.endsWith('.json'))
    .sort()
    .map((f) => JSON.parse(readFileSync(join(folder, f), 'utf8')) as Result)
    // Tables of the backtest stand beside them.
    .filter((result) => 'scenario' in result)
  const text = `# Results\n\nMade from the JSON files of this folder by \`node bench/summary.ts\`. What each figure means: bench/README.md.\n\n${results.map(section).join('\n')}`
  writeFileSync(join(folder, 'summary.md'), text)
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeSummary(fileURLToPath(new URL('results', import.meta.url)))
