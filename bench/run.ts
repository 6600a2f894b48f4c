/**
 * `npm run bench [-- --quick] [--gate] [scenario...]`: runs scenarios one after the other, writes bench/results/<name>.json
 * and bench/results/summary.md. With --gate the exit code is 1 when a `must` does not hold.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { answers } from './scenarios/answers.ts'
import { freshness } from './scenarios/freshness.ts'
import { insert } from './scenarios/insert.ts'
import { path } from './scenarios/path.ts'
import { policy } from './scenarios/policy.ts'
import { runs } from './scenarios/runs.ts'
import { secrecy } from './scenarios/secrecy.ts'
import { soak } from './scenarios/soak.ts'
import { sse } from './scenarios/sse.ts'
import { stages } from './scenarios/stages.ts'
import { writeSummary } from './summary.ts'
import { stopAll } from './support/children.ts'
import { commitOf, loadNow, machineOf, type Provenance, ROOT } from './support/machine.ts'
import { holds, type RunOptions, type Scenario } from './support/scenario.ts'

const SCENARIOS: readonly Scenario[] = [
  path,
  stages,
  policy,
  secrecy,
  sse,
  soak,
  insert,
  freshness,
  runs,
  answers,
]

const USAGE = `usage: npm run bench -- [--quick] [--gate] [--seed n] [--data folder] [scenario...]

${SCENARIOS.map((s) => `  ${s.name.padEnd(10)} ${s.about}`).join('\n')}

--quick   few short windows, into bench/results/quick/: to see that it works, not to quote
--gate    exit code 1 when a gate does not hold
--data    where \`answers\` keeps its month of calls: made once, asked again in later runs of the same seed and size
`

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

async function runOne(scenario: Scenario, options: Omit<RunOptions, 'say'>): Promise<boolean> {
  const { quick, seed } = options
  const before = loadNow()
  say(`${scenario.name}: ${scenario.about} (load average ${before.join(' ')})`)
  const date = new Date().toISOString()
  const findings = await scenario.run({ ...options, say })
  const provenance: Provenance = {
    scenario: scenario.name,
    machine: machineOf(),
    commit: commitOf(),
    date,
    seed,
    quick,
    load: { before, after: loadNow() },
  }
  const folder = join(ROOT, 'bench/results', quick ? 'quick' : '')
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, `${scenario.name}.json`),
    `${JSON.stringify({ ...provenance, ...findings }, null, 1)}\n`,
  )
  for (const table of findings.tables) {
    say(`\n  ${table.title}`)
    const cells = [table.columns, ...table.rows.map((r) => r.map(String))]
    const widths = table.columns.map((_, i) => Math.max(...cells.map((r) => (r[i] ?? '').length)))
    for (const r of cells)
      say(`  ${r.map((c, i) => (i === 0 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!))).join('  ')}`)
  }
  say('')
  for (const gate of findings.gates)
    say(
      `  ${holds(gate) ? 'holds ' : gate.kind === 'must' ? 'BROKEN' : 'missed'}  ${gate.name}: ${gate.value} ${gate.unit} (${gate.kind} ${gate.limit})`,
    )
  say(`  load average now ${loadNow().join(' ')}\n`)
  return findings.gates.every((g) => g.kind !== 'must' || holds(g))
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      gate: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      data: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const unknown = positionals.filter((p) => !SCENARIOS.some((s) => s.name === p))
  if (values.help || unknown.length > 0) {
    process.stdout.write(unknown.length > 0 ? `unknown scenario: ${unknown.join(', ')}\n\n${USAGE}` : USAGE)
    return values.help ? 0 : 2
  }
  const chosen = positionals.length > 0 ? SCENARIOS.filter((s) => positionals.includes(s.name)) : SCENARIOS
  const options = {
    quick: values.quick,
    seed: Number(values.seed),
    data: values.data && resolve(values.data),
  }
  let isGood = true
  for (const scenario of chosen) {
    try {
      isGood = (await runOne(scenario, options)) && isGood
    } finally {
      await stopAll()
    }
    writeSummary(join(ROOT, 'bench/results', values.quick ? 'quick' : ''))
  }
  return values.gate && !isGood ? 1 : 0
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stopAll().then(() => process.exit(130)))

process.exitCode = await main()
