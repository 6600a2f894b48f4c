/**
 * How well runs are inferred: labelled traffic of real SDK agents through a whole installation, by what the inference may
 * read and by workers. What an agent says of itself travels in a header that the inference does not look at.
 */

import { driveCases } from '../agents/drive.ts'
import { startHandleServer, startSharedProxy } from '../agents/handle-server.ts'
import { type Calibrated, calibrate, type Labelled, type Score, scoreOf } from '../agents/pairs.ts'
import { type Case, cases, GAP_MS, type Way } from '../agents/plan.ts'
import type { Findings, RunOptions, Scenario } from '../support/scenario.ts'
import { startWeir } from '../support/weir.ts'

const DRAIN_MS = 20_000
const STEPS = { quick: 6, whole: 8 }

type Setting = { name: string; evidence: string[]; workers: number }
const ALL = ['request_ids', 'connection', 'handles']
const SETTINGS: readonly Setting[] = [
  ...[1, 2].flatMap((workers) => [
    { name: 'all clues', evidence: ALL, workers },
    { name: 'pause alone', evidence: [], workers },
  ]),
]

type Measured = Setting & { failed: number; cases: (Score & { name: string })[]; calls: Labelled[] }

async function measure(setting: Setting, all: readonly Case[]): Promise<Measured> {
  const server = await startHandleServer()
  const weir = await startWeir({
    servers: `  one: { url: "${server.url}/mcp" }\n  two: { url: "${server.url}/mcp" }\n  kept: { url: "${server.url}/sessions" }`,
    workers: setting.workers,
    more: `trace: { run_gap_ms: ${GAP_MS} }\nruns: { evidence: [${setting.evidence.join(', ')}] }\nlabels: { truth: { header: x-bench-truth } }\n`,
  })
  const proxy = await startSharedProxy(weir.proxy)
  const urls: Record<Way, string[]> = {
    direct: [`${weir.proxy}/servers/one/mcp`],
    shared: [`${proxy.url}/servers/one/mcp`],
    sessions: [`${weir.proxy}/servers/kept/mcp`],
    two: [`${weir.proxy}/servers/one/mcp`, `${weir.proxy}/servers/two/mcp`],
  }
  try {
    const failed = await driveCases(all, urls, { authorization: `Bearer ${weir.key}` })
    await weir.drained(DRAIN_MS)
    const calls = await weir.sql<Labelled>(
      "SELECT labels['truth'] AS truth, run_id AS run, if(run_source = 'inferred', toString(run_evidence), toString(run_source)) AS evidence FROM calls WHERE kind = 'request' AND method != 'initialize' ORDER BY ts",
    )
    const of = ({ processes }: Case): Labelled[] => {
      const own = new Set(processes.flat().map((a) => a.truth))
      return calls.filter((c) => own.has(c.truth.split(',')[0]!))
    }
    return { ...setting, failed, calls, cases: all.map((c) => ({ name: c.name, ...scoreOf(of(c)) })) }
  } finally {
    await proxy.close()
    await weir.stop()
    await server.close()
  }
}

const percent = (share: number): string => (100 * share).toFixed(1)

async function run({ quick, seed, say }: RunOptions): Promise<Findings> {
  const all = cases(seed, quick ? STEPS.quick : STEPS.whole)
  const measured: Measured[] = []
  for (const setting of SETTINGS) {
    const found = await measure(setting, all)
    measured.push(found)
    say(`  ${setting.name}, ${setting.workers} workers: ${found.calls.length} calls, ${found.failed} failed`)
  }
  const named = (name: string, workers: number): Measured =>
    measured.find((m) => m.name === name && m.workers === workers)!
  const cell = (s: Score): string => `${percent(s.precision)} / ${percent(s.recall)}`
  const mean = (m: Measured, key: 'precision' | 'recall' | 'f1'): number =>
    m.cases.reduce((sum, c) => sum + c[key], 0) / m.cases.length
  const calibrated: Calibrated[] = calibrate(
    measured
      .filter((m) => m.evidence.length === ALL.length)
      .flatMap((m) =>
        m.calls.map((c) => ({ ...c, run: `${m.workers} ${c.run}`, truth: `${m.workers} ${c.truth}` })),
      ),
  )
  const certain = new Set(all.filter((c) => c.isDeterministic).map((c) => c.name))
  return {
    figures: { gap_ms: GAP_MS, settings: measured.map(({ calls: _calls, ...rest }) => rest), calibrated },
    tables: [
      {
        title: 'precision / recall in percent, by pairs of calls',
        columns: [
          'case',
          'calls',
          ...[1, 2].flatMap((w) => [`all clues, ${w} worker${w > 1 ? 's' : ''}`, `pause alone, ${w}`]),
        ],
        rows: all.map((c, i) => [
          c.name,
          named('all clues', 1).cases[i]!.calls,
          ...[1, 2].flatMap((w) => [
            cell(named('all clues', w).cases[i]!),
            cell(named('pause alone', w).cases[i]!),
          ]),
        ]),
      },
      {
        title: 'mean of all cases, percent, by what the inference may read',
        columns: ['clues', 'workers', 'precision', 'recall', 'F1'],
        rows: measured.map((m) => [
          m.name,
          m.workers,
          ...(['precision', 'recall', 'f1'] as const).map((key) => percent(mean(m, key))),
        ]),
      },
      {
        title: 'calls in the right run by what decided (all clues, both)',
        columns: ['evidence', 'calls', 'right, percent'],
        rows: calibrated.map((c) => [c.evidence, c.calls, percent(c.right / c.calls)]),
      },
    ],
    gates: [1, 2].flatMap((w) => {
      const worst = named('all clues', w).cases.filter((c) => certain.has(c.name))
      return (['precision', 'recall'] as const).map((key) => ({
        name: `pairs missed: 1 - ${key}, worst of the deterministic cases, ${w} worker${w > 1 ? 's' : ''}`,
        value: Number((1 - Math.min(...worst.map((c) => c[key]))).toFixed(4)),
        limit: 0.02,
        unit: '',
        kind: 'must' as const,
      }))
    }),
    notes: [
      `the gap is ${GAP_MS} ms here, thoughts are 30 to 250 ms; initialize is left out, its run is the session or begins one`,
    ],
  }
}

export const runs: Scenario = {
  name: 'runs',
  about: 'how well runs are inferred for clients that bring neither label, session nor trace',
  run,
}
