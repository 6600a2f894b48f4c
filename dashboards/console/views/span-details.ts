/** Everything known of one span: what became of the call, its phases, attributes, and what was kept of its content, as text. */
import type { PayloadRow } from '../../../collector/queries/payloads.ts'
import type { TraceSpan } from '../../../collector/queries/trace.ts'
import type { TraceCall } from '../../../collector/queries/trace-calls.ts'
import { bytes, count, duration } from '../format.ts'
import { type Children, html } from '../html.ts'
import { Outcome, toolHref } from '../names.ts'
import { Panel } from '../panel.ts'
import { here, to } from '../route.ts'
import { clock } from '../time.ts'

type SpanDetailsProps = { span: TraceSpan; call: TraceCall | undefined; payloads: readonly PayloadRow[] }

export function SpanDetails({ span, call, payloads }: SpanDetailsProps) {
  const pairs = Object.entries(span.attributes).sort(([a], [b]) => (a < b ? -1 : 1))
  return html`<${Panel} title=${span.name} class="third details" actions=${html`<a class="quiet" href=${here({ span: null })}>close</a>`}>
    <dl class="facts">
      <${Fact} name="Service" value=${span.service} />
      <${Fact} name="Began" value=${clock(span.start_us / 1000, { millis: true })} />
      <${Fact} name="Duration" value=${duration(span.duration_us)} />
      ${span.status_message && html`<${Fact} name="Status" value=${span.status_message} />`}
      ${call && callFacts(call)}
    </dl>
    ${span.phases && html`<h3>Phases</h3><dl class="facts">${Object.entries(span.phases).map(([name, us]) => html`<${Fact} key=${name} name=${name.replace('_us', '')} value=${duration(us)} />`)}</dl>`}
    ${payloads.map((p) => html`<h3 key=${p.part}>${p.part === 'arguments' ? 'Arguments' : 'Result'}</h3><pre class="payload" tabindex="0">${pretty(p.body)}</pre>`)}
    ${call && payloads.length === 0 && html`<p class="note">Arguments and results are not kept unless a rule under <code>capture.keep</code> in weir.yaml names the call.</p>`}
    <h3>Attributes</h3>
    <dl class="facts">${pairs.map(([name, value]) => html`<${Fact} key=${name} name=${name} value=${value} />`)}</dl>
  </${Panel}>`
}

const callFacts = (call: TraceCall): Children => html`
  <${Fact} name="Outcome" value=${html`<${Outcome} outcome=${call.outcome} owner=${call.owner} /> ${call.owner === 'none' ? '' : `owner ${call.owner}`}`} />
  ${call.error_message && html`<${Fact} name="Message" value=${call.error_message} />`}
  <${Fact} name="Tool" value=${html`<a href=${toolHref(call)}>${call.server || 'weir'} / ${call.tool || call.method}</a>`} />
  <${Fact} name="Caller" value=${html`<a href=${to('/audit', { caller: call.caller })}>${call.caller || '–'}</a> ${call.client_name} ${call.client_version}`} />
  <${Fact} name="Weir's own share" value=${duration(call.overhead_us)} />
  <${Fact} name="Sizes" value=${`${bytes(call.request_bytes)} in, ${bytes(call.response_bytes)} out`} />
  <${Fact} name="Tokens" value=${`${count(call.tokens_in)} in, ${count(call.tokens_out)} out`} />
  <${Fact} name="Event" value=${html`<a class="mono" href=${to('/audit', { event_id: call.event_id, event: call.event_id })}>${call.event_id}</a>`} />`

function Fact({ name, value }: { name: string; value: Children }) {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`
}

/** JSON with line breaks; whatever is none, as it is. */
function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return body
  }
}
