/** What policy costs a call, whole path: rules, callers and validation switched on in a worker alone, beside one without. */
import { besideDispatch, type Variation } from '../support/alone.ts'
import type { Findings, RunOptions, Scenario } from '../support/scenario.ts'

const OFF = 'policy off'

/** Rules about the caller's own tool and arguments: each has to be judged for every call. */
const judged = (count: number): string =>
  Array.from(
    { length: count },
    (_, i) => `  - { deny: amount-${i}, when: "has(args.amount) && args.amount > ${1_000_000 + i}" }\n`,
  ).join('')
/** Rules about other callers: settled once for a caller and tool. */
const settled = (count: number): string =>
  Array.from(
    { length: count },
    (_, i) => `  - { deny: other-${i}, callers: other-${i}, when: "tool.name == 'tool-${i}'" }\n`,
  ).join('')
const rules = (text: string): string => `rules:\n  - { allow: bench, callers: bench }\n${text}`

export const POLICIES: readonly Variation[] = [
  { name: OFF, patches: [], yaml: '' },
  { name: '1,000 callers', patches: [], yaml: '', callers: 1_000 },
  { name: 'one rule', patches: [], yaml: rules('') },
  { name: '10 rules on arguments', patches: [], yaml: rules(judged(10)) },
  { name: '1,000 rules on others', patches: [], yaml: rules(settled(1_000)) },
  { name: '1,000 rules, 1,000 callers', patches: [], yaml: rules(settled(1_000)), callers: 1_000 },
  { name: '1,000 rules on arguments', patches: [], yaml: rules(judged(1_000)) },
  { name: 'arguments validated', patches: [], yaml: 'validation: { arguments: enforce }' },
]

async function run({ quick, say }: RunOptions): Promise<Findings> {
  const ends = await besideDispatch(POLICIES, { quick, say })
  const cpu = (name: string): number => ends.get(name)!.cpu_us.p25
  return {
    figures: { ends: Object.fromEntries(ends) },
    tables: [
      {
        title: 'One worker alone, 64 connections',
        columns: ['worker', 'CPU us a call: p25 (min-max)', 'more than with policy off', 'to dispatch'],
        rows: [...ends.values()].map((m) => [
          m.name,
          `${m.cpu_us.p25} (${m.cpu_us.min}-${m.cpu_us.max})`,
          (m.cpu_us.p25 - cpu(OFF)).toFixed(1),
          (m.cpu_us.p25 / cpu('dispatch')).toFixed(2),
        ]),
      },
    ],
    gates: [],
  }
}

export const policy: Scenario = {
  name: 'policy',
  about: 'what rules, callers and validation cost a call',
  run,
}
