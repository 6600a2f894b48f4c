/** What went wrong in a run, as sentences: loops, failing arguments, retries, each with links to its calls. */
import type { Run } from '../../../collector/queries/run.ts'
import { duration } from '../format.ts'
import { type Children, html } from '../html.ts'
import { traceHref } from '../names.ts'
import { Panel } from '../panel.ts'

const SHOWN = 20
const LINKS = 12

type Loop = Run['loops'][number]
type Retry = Run['retries'][number]
type Failing = Run['failing'][number]
type Sentence = {
  tone: 'warn' | 'bad'
  word: string
  text: Children
  steps: readonly number[]
  more?: Children
}

const times = (n: number): string => (n === 1 ? 'once' : n === 2 ? 'twice' : `${n} times`)

function loopSentence(loop: Loop): Sentence {
  const learned = loop.isResultSame ? ', and every answer was the same' : ''
  const [first, second] = loop.names
  const text = second
    ? html`<strong>${first}</strong> and <strong>${second}</strong> took turns ${times(loop.times)}, each with the same arguments${learned}.`
    : html`<strong>${first}</strong> was called ${times(loop.times)} with the same arguments${learned}.`
  return { tone: 'warn', word: 'loop', text, steps: loop.steps }
}

function failingSentence(f: Failing): Sentence {
  const text = html`<strong>${f.name}</strong> failed ${times(f.times)}${f.times > 1 && f.arguments_hash ? ' with the same arguments' : ''}: ${f.error_message || f.error_type || 'without a message'}`
  const more = f.arguments !== null && html`<pre class="payload" tabindex="0">${f.arguments}</pre>`
  return { tone: 'bad', word: 'failed', text, steps: f.steps, more }
}

function retrySentence(r: Retry, { steps }: Run): Sentence {
  const before = steps[r.failed]!
  const pause = steps[r.again]!.start_us - before.start_us - before.duration_us
  const text = html`<strong>${r.name}</strong> failed and was tried again ${duration(pause)} later with ${r.isSameArguments ? 'the same' : 'other'} arguments: it ${r.isSuccess ? 'worked' : 'failed again'}.`
  return { tone: r.isSuccess ? 'warn' : 'bad', word: 'retry', text, steps: [r.failed, r.again] }
}

export function RunFindings({ run }: { run: Run }) {
  const all = [
    ...run.loops.map(loopSentence),
    ...run.failing.map(failingSentence),
    ...run.retries.map((retry) => retrySentence(retry, run)),
  ]
  const isHashed = run.steps.some((step) => step.arguments_hash !== '')
  const empty = isHashed
    ? 'No loop, no retry, no failure.'
    : 'No failure. Arguments are not hashed here, so loops cannot be seen.'
  return html`<${Panel} title="What went wrong" class="half" note=${all.length > SHOWN ? `the first ${SHOWN} of ${all.length}` : ''} isEmpty=${all.length === 0} empty=${empty}>
    <ul class="sentences">${all.slice(0, SHOWN).map(
      (s, i) => html`<li key=${i}>
        <span class=${`tag ${s.tone}`}>${s.word}</span> ${s.text}
        <span class="note"> Calls ${s.steps.slice(0, LINKS).map((at) => html`<${StepLink} key=${at} run=${run} at=${at} />`)}${s.steps.length > LINKS && `and ${s.steps.length - LINKS} more`}</span>
        ${s.more}
      </li>`,
    )}</ul>
  </${Panel}>`
}

function StepLink({ run, at }: { run: Run; at: number }) {
  const step = run.steps[at]!
  return html`<a href=${traceHref(step.trace_id, step.span_id)} aria-label=${`Call ${at + 1} in its trace`}>#${at + 1}</a> `
}
