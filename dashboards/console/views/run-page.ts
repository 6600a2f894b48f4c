/** One run: what it came to, what went wrong in it, where its time went, and its calls between the spans of others. */
import type { FoundRun } from '../../../collector/queries/find-run.ts'
import type { Run } from '../../../collector/queries/run.ts'
import { Amount } from '../amount.ts'
import { useAnswer } from '../answer.ts'
import { count, duration, money, percent } from '../format.ts'
import { html } from '../html.ts'
import { eventHref, groupedBy, Outcome, runHref, traceHref, When } from '../names.ts'
import { Panel, Stat } from '../panel.ts'
import { here, to, usePlace } from '../route.ts'
import { Table } from '../table.ts'
import { clock } from '../time.ts'
import { type Lane, Lanes } from '../waterfall.ts'
import { RunFindings } from './run-findings.ts'

type RunStep = Run['steps'][number]
const stepName = ({ server, tool, method }: RunStep): string =>
  tool === '' ? [server, method].filter(Boolean).join(' ') : `${server}/${tool}`

export function RunPage({ id }: { id: string }) {
  const answer = useAnswer<Run>('run', { id }, id)
  const run = answer.rows
  if (answer.error?.code === 'run_unknown') return html`<${Found} id=${id} />`
  return html`${run && html`<${Head} run=${run} />`}
    <${Panel} title="Run" note=${html`<span class="mono">${id}</span>`} answer=${{ ...answer, csv: '' }}
      actions=${run && html`<a class="quiet" href=${auditHref(run)}>events</a>`}>
      ${run && html`<${Facts} run=${run} />`}
    </${Panel}>
    ${
      run &&
      html`<${RunFindings} run=${run} />
      <${Shares} run=${run} />
      <${Waterfall} run=${run} />
      <${Steps} run=${run} csv=${answer.csv} />`
    }`
}

/** A run that is not known by this id, but perhaps by its beginning, or by one of its calls. */
function Found({ id }: { id: string }) {
  const found = useAnswer<FoundRun[]>('find-run', { id }, id, true)
  const rows = found.rows ?? []
  return html`<${Panel} title="No run has this id" note=${html`<span class="mono">${id}</span>`} answer=${found} isEmpty=${rows.length === 0}
    empty=${html`<span>Nor does one begin with it, or hold a call, trace or session with it. <a href=${to('/runs')}>All runs</a></span>`}>
    <${Table} id="found" caption="Runs found" rows=${rows} columns=${[
      {
        key: 'run',
        head: 'Run',
        value: (r: FoundRun) => r.run_id,
        cell: (r: FoundRun) => html`<a class="mono" href=${runHref(r.run_id)}>${r.run_id}</a>`,
      },
      { key: 'calls', head: 'Calls', isNumber: true, value: (r: FoundRun) => r.calls },
      {
        key: 'started',
        head: 'Began',
        value: (r: FoundRun) => r.started,
        cell: (r: FoundRun) => html`<${When} ts=${r.started} />`,
      },
    ]} />
  </${Panel}>`
}

/** All events of the run: a second around it, for moments are cut to milliseconds. */
const auditHref = (run: Run): string =>
  to('/audit', {
    run_id: run.run_id,
    from: String(Math.floor(run.started_us / 1000) - 1000),
    to: String(Math.ceil((run.started_us + run.duration_us) / 1000) + 1000),
  })

function Head({ run }: { run: Run }) {
  const { path, parallelism } = run
  const thinking = path.idle_us / Math.max(1, run.duration_us)
  const tokens = run.tokens_in + run.tokens_out
  return html`<div class="stats" role="group" aria-label="Run">
    <${Stat} name="Duration" value=${duration(run.duration_us)} note=${`began ${clock(run.started_us / 1000)}`} />
    <${Stat} name="Calls" value=${count(run.calls)} note=${run.isCut ? `the first ${count(run.steps.length)} are shown` : `${run.traces.length} ${run.traces.length === 1 ? 'trace' : 'traces'}`} tone=${run.isCut ? 'warn' : ''} />
    <${Stat} name="Failed" value=${count(run.failed)} tone=${run.failed > 0 ? 'bad' : ''} note=${Object.entries(
      run.outcomes,
    )
      .filter(([name]) => name !== 'ok')
      .map(([name, n]) => `${n} ${name}`)
      .join(', ')} />
    <${Stat} name="Thinking time" value=${duration(path.idle_us)} note=${`${percent(thinking)} of it; ${path.idle_traced_us > 0 ? `${duration(path.idle_traced_us)} in spans of others` : 'no span says on what'}`} />
    <${Stat} name="At once" value=${`up to ${parallelism.max}`} note=${`${parallelism.mean.toFixed(1)} calls on average`} />
    <${Stat} name="Tokens" value=${count(tokens)} note=${`${count(run.tokens_in)} in, ${count(run.tokens_out)} out`} />
    <${Stat} name="Cost" value=${html`<${Amount} nano=${run.cost_nano} unpriced=${run.unpriced} />`} note=${run.unpriced > 0 ? `${count(run.unpriced)} calls have no price` : ''} />
  </div>`
}

function Facts({ run }: { run: Run }) {
  const facts = [
    ['Agent', run.agent],
    ['Caller', run.caller && html`<a href=${to('/runs', { caller: run.caller })}>${run.caller}</a>`],
    ['Team', run.team],
    ['Project', run.project],
    ['Client', run.client_name],
    ['Grouped by', `${groupedBy(run)} sure; least certain call ${run.confidence_min} %`],
  ] as const
  return html`<dl class="facts columns">${facts.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

/** The critical path by tool, and the thinking between. */
function Shares({ run }: { run: Run }) {
  const { path } = run
  const rows = [
    ...path.by_name.map((share) => ({ ...share, isCall: true })),
    ...(path.idle_us > 0
      ? [{ name: 'thinking, between calls', steps: 0, us: path.idle_us, isCall: false }]
      : []),
  ]
  const total = Math.max(1, path.busy_us + path.idle_us)
  return html`<${Panel} title="Where the time went" class="half" note="the calls that decided when it was over" isEmpty=${rows.length === 0}>
    <${Table} id="shares" caption="Where the time went" sort="-time" rows=${rows} page_size=${10} columns=${[
      { key: 'name', head: 'What', class: 'clip', value: (r: (typeof rows)[number]) => r.name },
      {
        key: 'steps',
        head: 'Calls',
        isNumber: true,
        value: (r: (typeof rows)[number]) => r.steps,
        cell: (r: (typeof rows)[number]) => (r.isCall ? count(r.steps) : ''),
      },
      {
        key: 'time',
        head: 'Time',
        isNumber: true,
        value: (r: (typeof rows)[number]) => r.us,
        cell: (r: (typeof rows)[number]) => duration(r.us),
      },
      {
        key: 'share',
        head: 'Share',
        isNumber: true,
        isSortable: false,
        value: (r: (typeof rows)[number]) => percent(r.us / total),
      },
      {
        key: 'bar',
        head: 'Part',
        isSortable: false,
        value: () => '',
        cell: (r: (typeof rows)[number]) =>
          html`<span class="bar-lane"><span class=${`bar ${r.isCall ? '' : 'idle'}`} style=${{ width: `${(r.us / total) * 100}%` }}></span></span>`,
      },
    ]} />
  </${Panel}>`
}

/** How many follow each that lie deeper. */
function below(items: readonly { depth: number }[], at: number): number {
  let end = at + 1
  while (end < items.length && items[end]!.depth > items[at]!.depth) end++
  return end - at - 1
}

function Waterfall({ run }: { run: Run }) {
  const { params } = usePlace()
  const isPathOnly = params.only === 'path'
  // The message to the server is drawn within its call.
  const own = run.items.filter((item) => item.what !== 'upstream')
  const items = isPathOnly
    ? own
        .filter((item) => item.step >= 0 && run.steps[item.step]!.isCritical)
        .map((item) => ({ ...item, depth: 0 }))
    : own
  const begin = Math.min(...items.map((i) => i.start_us))
  const end = Math.max(...items.map((i) => i.start_us + i.duration_us))
  const lanes = items.map((item, at): Lane => {
    const step = run.steps[item.step]
    const isCritical = step?.isCritical ?? false
    return {
      id: `${item.trace_id}${item.span_id}${item.step}`,
      depth: item.depth,
      below: below(items, at),
      name: step ? stepName(step) : item.name,
      href: traceHref(item.trace_id, item.span_id),
      note: html`${!step && html`<span class="muted">${item.service}</span>`}
        ${isCritical && html`<span class="path-mark" title="on the critical path">◆<span class="unseen"> on the critical path</span></span>`}
        ${item.failed && html`<${Outcome} outcome=${step?.outcome ?? 'error'} owner=${step?.owner ?? 'upstream'} />`}`,
      start_us: item.start_us,
      duration_us: item.duration_us,
      isForeign: !step,
      isBad: item.failed,
      isCritical,
      parts: step ? partsOf(step) : [],
    }
  })
  const cut = run.isCut
    ? `${count(run.steps.length)} of ${count(run.calls)} calls, ${count(run.foreign)} spans of others`
    : `${count(run.calls)} calls, ${count(run.foreign)} spans of others`
  return html`<${Panel} title="Waterfall" note=${cut} isEmpty=${items.length === 0} empty="No call of this run is in the store any more."
    actions=${html`<a class="quiet" href=${here({ only: isPathOnly ? null : 'path' })}>${isPathOnly ? 'everything' : 'critical path only'}</a>`}>
    <div class="legend">
      <span class="key"><i class="swatch c1"></i>server</span><span class="key"><i class="swatch c4"></i>Weir</span>
      <span class="key"><i class="swatch foreign"></i>others' spans</span>
      <span class="key"><span class="path-mark" aria-hidden="true">◆</span> critical path: what decided when it was over</span>
    </div>
    <${Lanes} label="Calls and spans of the run" lanes=${lanes} begin=${begin} total=${Math.max(1, end - begin)} />
  </${Panel}>`
}

function partsOf(step: RunStep): Lane['parts'] {
  if (step.upstream_us === 0) return [{ color: 'c4', us: step.duration_us }]
  const before = Math.max(0, step.upstream_start_us - step.start_us)
  return [
    { color: 'c4', us: before },
    { color: 'c1', us: step.upstream_us },
    { color: 'c4', us: Math.max(0, step.duration_us - before - step.upstream_us) },
  ].filter(({ us }) => us > 0)
}

function Steps({ run, csv }: { run: Run; csv: string }) {
  type Row = RunStep & { at: number }
  const rows = run.steps.map((step, i): Row => ({ ...step, at: i + 1 }))
  const csvLink = html`<a class="quiet" href=${csv} download aria-label="Calls as CSV">CSV</a>`
  return html`<${Panel} title="Calls" note="in the order they began" actions=${csvLink}>
    <${Table} id="steps" caption="Calls of the run" sort="at" rows=${rows} page_size=${50} columns=${[
      { key: 'at', head: '#', isNumber: true, value: (r: Row) => r.at },
      {
        key: 'ts',
        head: 'Began',
        value: (r: Row) => r.start_us,
        cell: (r: Row) =>
          html`<a href=${eventHref(r.event_id)}>${clock(r.start_us / 1000, { millis: true })}</a>`,
      },
      {
        key: 'name',
        head: 'Call',
        class: 'clip',
        value: stepName,
        cell: (r: Row) => html`<a href=${traceHref(r.trace_id, r.span_id)}>${stepName(r)}</a>`,
      },
      {
        key: 'outcome',
        head: 'Outcome',
        value: (r: Row) => r.outcome,
        cell: (r: Row) => html`<${Outcome} outcome=${r.outcome} owner=${r.owner} />`,
      },
      {
        key: 'duration',
        head: 'Duration',
        isNumber: true,
        value: (r: Row) => r.duration_us,
        cell: (r: Row) => duration(r.duration_us),
      },
      {
        key: 'tokens',
        head: 'Tokens',
        isNumber: true,
        value: (r: Row) => r.tokens_in + r.tokens_out,
        cell: (r: Row) => count(r.tokens_in + r.tokens_out),
      },
      {
        key: 'cost',
        head: 'Cost',
        isNumber: true,
        value: (r: Row) => r.cost_nano,
        cell: (r: Row) =>
          r.cost_source === 'unpriced' ? html`<span class="muted">unpriced</span>` : money(r.cost_nano),
      },
      {
        key: 'sure',
        head: 'Belongs here',
        about: 'how sure it is that the call is of this run, and by what',
        isNumber: true,
        value: (r: Row) => r.run_confidence,
        cell: (r: Row) => `${r.run_confidence} %${r.run_evidence ? ` ${r.run_evidence}` : ''}`,
      },
      { key: 'message', head: 'Message', class: 'clip', value: (r: Row) => r.error_message },
    ]} />
  </${Panel}>`
}
