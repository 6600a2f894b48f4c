/** What is kept quiet, by whom and until when; a form to add one, and a way to end one. */
import { useState } from 'preact/hooks'
import type { AlertRow } from '../../../collector/queries/alerts.ts'
import type { SilenceRow } from '../../../collector/queries/silences.ts'
import { type Answer, useAnswer } from '../answer.ts'
import { endSilence } from '../api.ts'
import { Ask } from '../dialog.ts'
import { html } from '../html.ts'
import { refresh } from '../live.ts'
import { Panel } from '../panel.ts'
import { here, usePlace } from '../route.ts'
import { Table } from '../table.ts'
import { clock } from '../time.ts'
import { SilenceForm } from './silence-form.ts'

const matchersOf = ({ matchers }: SilenceRow): string =>
  matchers.map(({ name, op, value }) => `${name}${op}"${value}"`).join(', ')

type SilencesProps = { silences: Answer<SilenceRow[]>; alerts: readonly AlertRow[] }

export function Silences({ silences, alerts }: SilencesProps) {
  const { params } = usePlace()
  const isAll = params.all === 'true'
  const all = useAnswer<SilenceRow[]>('silences', isAll ? { only: 'all' } : null, 'all')
  const [ending, setEnding] = useState<SilenceRow | null>(null)
  const answer = isAll ? all : silences
  const rows = answer.rows ?? []
  const from = alerts.find((a) => a.fingerprint === params.silence)
  return html`<${SilenceForm} key=${from?.fingerprint ?? ''} from=${from} alerts=${alerts} />
    <${Panel} title="Silences" note=${isAll ? 'all that are kept' : 'in force, and to come'} answer=${answer} isEmpty=${rows.length === 0} empty="Nothing is kept quiet."
      actions=${html`<a class="quiet" href=${here({ all: isAll ? null : 'true' })}>${isAll ? 'only those in force' : 'ended ones too'}</a>`}>
      <${Table} id="silences" caption="Silences" rows=${rows} columns=${[
        {
          key: 'matchers',
          head: 'Alerts with',
          class: 'wrap',
          value: matchersOf,
          cell: (r: SilenceRow) => html`<code>${matchersOf(r)}</code>`,
        },
        {
          key: 'state',
          head: 'State',
          value: stateOf,
          cell: (r: SilenceRow) => html`<span class=${`tag ${r.active ? 'warn' : ''}`}>${stateOf(r)}</span>`,
        },
        {
          key: 'from',
          head: 'From',
          isNumber: true,
          value: (r: SilenceRow) => r.starts_ms,
          cell: (r: SilenceRow) => clock(r.starts_ms, { seconds: false }),
        },
        {
          key: 'until',
          head: 'Until',
          isNumber: true,
          value: (r: SilenceRow) => r.ends_ms,
          cell: (r: SilenceRow) => clock(r.ends_ms, { seconds: false }),
        },
        { key: 'by', head: 'By', value: (r: SilenceRow) => r.created_by },
        { key: 'comment', head: 'Why', class: 'wrap', value: (r: SilenceRow) => r.comment },
        {
          key: 'end',
          head: 'End it',
          isSortable: false,
          value: () => '',
          cell: (r: SilenceRow) =>
            r.ends_ms > Date.now() &&
            html`<button type="button" class="small" aria-label=${`End the silence ${matchersOf(r)}`} onClick=${() => setEnding(r)}>End …</button>`,
        },
      ]} />
    </${Panel}>
    ${
      ending &&
      html`<${Ask} title="End this silence?" action="End it" onClose=${() => setEnding(null)} onYes=${() => endSilence(ending.id).then(refresh)}>
        <p><code>${matchersOf(ending)}</code></p>
        <p class="note">Receivers hear of the alerts it kept quiet at the next look at the rules.</p>
      </${Ask}>`
    }`
}

const stateOf = (r: SilenceRow): string =>
  r.active ? 'in force' : r.ends_ms <= Date.now() ? 'ended' : 'to come'
