/** One run for people: facts, steps with the critical path marked, findings. Pure: a run in, lines out. */
import type { Run } from '../collector/queries/run.ts'
import { nameOf } from '../collector/runs/step.ts'
import { money } from './runs.ts'
import { table } from './table.ts'
import { clean, clock, count, cut, duration, moment, type Screen, share } from './terminal.ts'

const percent = (us: number, of: number): string => share(of === 0 ? 0 : us / of)

function headLines(run: Run, { paint, width }: Screen): string[] {
  const { path, parallelism } = run
  const facts = [
    `${count(run.calls)} calls, ${run.failed ? `${count(run.failed)} failed` : 'none failed'}`,
    duration(run.duration_us),
    `${count(run.tokens_in + run.tokens_out)} tokens`,
    `cost ${money(run.cost_nano, run.unpriced)}`,
    `began ${clock(moment(run.started))}`,
  ]
  const who = [
    run.agent && `agent ${run.agent}`,
    run.caller && `caller ${run.caller}`,
    run.client_name && `client ${run.client_name}`,
    `run by ${run.run_source}, ${Math.round(run.confidence)}% sure${run.confidence_min < run.confidence ? ` (least ${run.confidence_min}%)` : ''}`,
  ]
  const seen = path.idle_traced_us > 0 ? `, of which ${duration(path.idle_traced_us)} in spans of others` : ''
  const time = [
    `critical path: ${count(path.steps.length)} steps, ${duration(path.busy_us)} in calls (${percent(path.busy_us, run.duration_us)}), ${duration(path.idle_us)} between them${seen}`,
    `at once: ${parallelism.max} at most, ${parallelism.mean.toFixed(2)} on average`,
  ]
  const shares = path.by_name.slice(0, 4).map((s) => `${s.name} ${duration(s.us)}`)
  return [
    paint('bold', cut(`run ${clean(run.run_id)}`, width)),
    cut(facts.join(' · '), width),
    paint('dim', cut(clean(who.filter(Boolean).join(' · ')), width)),
    cut(time.join(' · '), width),
    ...(shares.length > 0 ? [cut(`on it: ${clean(shares.join(' · '))}`, width)] : []),
    '',
  ]
}

function stepLines(run: Run, limit: number, now: Screen): string[] {
  const shown = run.steps.slice(0, limit)
  return table(
    [
      { head: '', min: 1, rank: 0 },
      { head: '#', align: 'right', min: 2, rank: 0 },
      { head: 'at', align: 'right', min: 7, rank: 0 },
      { head: 'took', align: 'right', min: 7, rank: 0 },
      { head: 'step', min: 14, max: 44, rank: 0 },
      { head: 'outcome', min: 8, max: 40, rank: 1 },
      { head: 'tokens', align: 'right', min: 6, rank: 3 },
      { head: 'sure', align: 'right', min: 4, rank: 4 },
    ],
    shown.map((step, i) => [
      step.isCritical ? { text: '▸', style: 'yellow' } : ' ',
      String(i + 1),
      `+${duration(step.start_us - run.started_us)}`,
      duration(step.duration_us),
      `${'  '.repeat(Math.min(step.depth, 8))}${clean(nameOf(step))}`,
      step.failed
        ? {
            text: clean(`✗ ${step.outcome}${step.error_message ? `: ${step.error_message}` : ''}`),
            style: 'red',
          }
        : step.outcome,
      count(step.tokens_in + step.tokens_out),
      `${step.run_confidence}%`,
    ]),
    now,
  )
}

/** Steps by their numbers in the list, few of many. */
const numbers = (steps: readonly number[]): string =>
  `${steps
    .slice(0, 6)
    .map((i) => `#${i + 1}`)
    .join(' ')}${steps.length > 6 ? ' …' : ''}`

function findingLines(run: Run): string[] {
  const again = run.retries.map(
    (r) =>
      `retry: ${r.name} failed at #${r.failed + 1}, tried again at #${r.again + 1} with ${r.isSameArguments ? 'the same' : 'other'} arguments: ${r.isSuccess ? 'worked' : 'failed again'}`,
  )
  const circles = run.loops.map(
    (l) =>
      `loop: ${l.names.join(' and ')}${l.names.length > 1 ? ' in turn' : ' with the same arguments'}, ${l.times} times${l.isResultSame ? ', always with the same result' : ''} (${numbers(l.steps)})`,
  )
  const wrong = run.failing.map(
    (f) =>
      `failed: ${f.name} ${f.error_type}${f.error_message ? `, ${f.error_message}` : ''}${f.times > 1 ? `, ${f.times} times` : ''}${f.arguments === null ? '' : `, with ${f.arguments}`} (${numbers(f.steps)})`,
  )
  return [...circles, ...again, ...wrong]
}

/** Steps beyond `limit` are left out, and counted. */
export function runLines(run: Run, limit: number, now: Screen): string[] {
  const findings = findingLines(run)
  const left = run.calls - Math.min(run.steps.length, limit)
  return [
    ...headLines(run, now),
    ...stepLines(run, limit, now),
    ...(left > 0 ? [now.paint('yellow', `… ${count(left)} more steps: --limit 0 shows up to 2000`)] : []),
    ...(findings.length > 0
      ? ['', ...findings.map((line) => now.paint('yellow', cut(clean(line), now.width)))]
      : []),
    ...(run.foreign > 0
      ? [
          '',
          now.paint('dim', `${count(run.foreign)} spans of others: weir trace ${clean(run.traces[0] ?? '')}`),
        ]
      : []),
  ]
}
