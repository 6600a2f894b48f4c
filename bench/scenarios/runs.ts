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
      "SELECT labels['truth'] AS truth, run_id AS run, if(run_source = 'inferred', toString(run_evidence), toString(run_source)) AS evidence, run_confidence AS confidence FROM calls WHERE kind = 'request' AND method != 'initialize' ORDER BY ts",
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
  const by = (name: string, workers: number, one: Case): Score =>
    named(name, workers).cases.find((c) => c.name === one.name)!
  const mean = (m: Measured, of: readonly Case[], key: 'precision' | 'recall' | 'f1'): number =>
    of.reduce((sum, c) => sum + by(m.name, m.workers, c)[key], 0) / of.length
  const columns = [
    'case',
    'calls',
    ...[1, 2].flatMap((w) => [`inferred, ${w} worker${w > 1 ? 's' : ''}`, `pause alone, ${w}`]),
  ]
  const rowsOf = (of: readonly Case[]): (string | number)[][] =>
    of.map((c) => [
      c.name,
      by('all clues', 1, c).calls,
      ...[1, 2].flatMap((w) => [cell(by('all clues', w, c)), cell(by('pause alone', w, c))]),
    ])
  const kept = all.filter((c) => !c.isHeldOut)
  const heldOut = all.filter((c) => c.isHeldOut)
  const parts: [string, Case[]][] = [
    ['all', all],
    ['looked at', kept],
    ['held out', heldOut],
    ['held out, with a clue', heldOut.filter((c) => c.hasClue)],
  ]
  const inferred = (of: readonly Case[]): Labelled[] => {
    const own = new Set(of.flatMap((c) => c.processes.flat().map((a) => a.truth)))
    return measured
      .filter((m) => m.evidence.length === ALL.length)
      .flatMap((m) =>
        m.calls
          .filter(
            (c) => own.has(c.truth.split(',')[0]!) && c.evidence !== 'trace' && c.evidence !== 'session',
          )
          .map((c) => ({ ...c, run: `${m.workers} ${c.run}`, truth: `${m.workers} ${c.truth}` })),
      )
  }
  const byEvidence = calibrate(inferred(all), (c) => c.evidence)
  const byConfidence = parts
    .slice(1, 3)
    .flatMap(([part, of]) =>
      calibrate(
        inferred(of),
        (c) => `${part}, ${10 * Math.floor(c.confidence / 10)} to ${10 * Math.floor(c.confidence / 10) + 9}`,
      ),
    )
    .sort((a, b) => a.key.localeCompare(b.key))
  const row = ({ key, calls, right, stated }: Calibrated): (string | number)[] => [
    key,
    calls,
    (stated / calls).toFixed(1),
    percent(right / calls),
  ]
  const certain = new Set(all.filter((c) => c.isDeterministic).map((c) => c.name))
  return {
    figures: {
      gap_ms: GAP_MS,
      settings: measured.map(({ calls: _calls, ...rest }) => rest),
      byEvidence,
      byConfidence,
    },
    tables: [
      { title: 'precision / recall in percent, by pairs of calls', columns, rows: rowsOf(kept) },
      { title: 'the same, held out: cases the inference was shaped without', columns, rows: rowsOf(heldOut) },
      {
        title: 'mean of the cases, percent, by what the inference may read',
        columns: ['cases', 'clues', 'workers', 'precision', 'recall', 'F1'],
        rows: parts.flatMap(([part, of]) =>
          measured.map((m) => [
            part,
            m.name,
            m.workers,
            ...(['precision', 'recall', 'f1'] as const).map((key) => percent(mean(m, of, key))),
          ]),
        ),
      },
      {
        title:
          "confidence, and calls in a run that is mostly their own agent's, percent (all clues, both; label, session and trace left out)",
        columns: ['confidence', 'calls', 'stated', 'right'],
        rows: byConfidence.map(row),
      },
      {
        title: 'the same by what decided',
        columns: ['evidence', 'calls', 'stated', 'right'],
        rows: byEvidence.map(row),
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
      `the gap is ${GAP_MS} ms here, thoughts are 30 to 250 ms where the name says nothing else; initialize is left out, its run is the session where there is one`,
    ],
  }
}

export const runs: Scenario = {
  name: 'runs',
  about: 'how well runs are inferred for clients that bring neither label, session nor trace',
  run,
}
