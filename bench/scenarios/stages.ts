/**
 * The stage budget kept stage by stage: nanoseconds of the real functions (bench/micro), and the event end to end by the
 * difference of one worker with and one without it. Limits were set on another machine: values are scaled by what
 * JSON.parse of the same request costs here (1.4 us there).
 */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Micro } from '../micro/measure.ts'
import { besideDispatch, type Variation } from '../support/alone.ts'
import { ROOT } from '../support/machine.ts'
import type { Patch } from '../support/patches.ts'
import type { Findings, Gate, RunOptions, Scenario } from '../support/scenario.ts'

const NO_MICRO = new Set(['measure.ts', 'fixtures.ts'])
const CALIBRATION = 'JSON.parse of the body alone'
const CALIBRATION_NS = 1400

/** Takes the event, its write and its counters out of the path. */
const NO_EVENT: Patch = {
  file: 'proxy/record.ts',
  from: 'if (call.isRecorded) return then.written()\n',
  to: 'call.isRecorded = true\n    if (call.isRecorded) return then.written()\n',
}

export const VARIATIONS: readonly Variation[] = [
  { name: 'all on', patches: [], yaml: '' },
  { name: 'no event', patches: [NO_EVENT], yaml: '' },
  { name: 'no hashes', patches: [], yaml: 'capture: { arguments: size, results: size }' },
  { name: 'modern, all on', patches: [], yaml: '', era: 'modern' },
  { name: 'modern, runs by the pause alone', patches: [], yaml: 'runs: { evidence: [] }', era: 'modern' },
]

async function microOf(file: string, quick: boolean): Promise<Micro[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'bench/micro', file)], {
    env: { ...process.env, BENCH_REPEATS: quick ? '100' : '400' },
    maxBuffer: 1 << 22,
  })
  return JSON.parse(stdout) as Micro[]
}

async function run({ quick, say }: RunOptions): Promise<Findings> {
  const all: Micro[] = []
  for (const file of readdirSync(join(ROOT, 'bench/micro')).sort())
    if (file.endsWith('.ts') && !NO_MICRO.has(file)) all.push(...(await microOf(file, quick)))
  const scale = (all.find((m) => m.name === CALIBRATION)?.ns.p25 ?? CALIBRATION_NS) / CALIBRATION_NS
  say(`  this machine takes ${scale.toFixed(2)} times as long as the one the budget was set on`)
  const scaled = (ns: number): number => Math.round(ns / scale)
  const gates: Gate[] = all
    .filter((m) => m.must_ns !== null)
    .map((m) => ({
      name: m.name,
      value: scaled(m.ns.p25),
      limit: m.must_ns!,
      unit: 'ns, scaled',
      kind: 'must',
    }))
  const ends = await besideDispatch(VARIATIONS, { quick, say })
  const cpu = (name: string): number => ends.get(name)!.cpu_us.p25
  const event_us = Number(((cpu('all on') - cpu('no event')) / scale).toFixed(1))
  const p99 = Number((ends.get('all on')!.p99_us.p25 / ends.get('no event')!.p99_us.p25).toFixed(2))
  gates.push(
    { name: 'event on less off, end to end', value: event_us, limit: 4, unit: 'us, scaled', kind: 'goal' },
    { name: 'p99 with the event to without', value: p99, limit: 1.3, unit: 'x', kind: 'info' },
    {
      name: 'worker alone / dispatch',
      value: Number((cpu('all on') / cpu('dispatch')).toFixed(3)),
      limit: 1.4,
      unit: 'x',
      kind: 'goal',
    },
  )
  return {
    figures: { scale, micro: all, ends: Object.fromEntries(ends) },
    tables: [
      {
        title: 'One operation',
        columns: ['function', 'stage', 'ns: p25 (min, median)', 'scaled', 'target', 'must', 'heap B'],
        rows: all.map((m) => [
          m.name,
          m.stage,
          `${m.ns.p25} (${m.ns.min}, ${m.ns.median})`,
          scaled(m.ns.p25),
          m.target_ns ?? '',
          m.must_ns ?? '',
          m.heap_bytes,
        ]),
      },
      {
        title: 'One worker alone, 64 connections',
        columns: ['worker', 'CPU us a call: p25 (min-max)', 'less than all on', 'to dispatch'],
        rows: [...ends.values()].map((m) => [
          m.name,
          `${m.cpu_us.p25} (${m.cpu_us.min}-${m.cpu_us.max})`,
          (cpu('all on') - m.cpu_us.p25).toFixed(1),
          (m.cpu_us.p25 / cpu('dispatch')).toFixed(2),
        ]),
      },
    ],
    gates,
  }
}

export const stages: Scenario = {
  name: 'stages',
  about: 'the budget of each stage, function by function',
  run,
}
