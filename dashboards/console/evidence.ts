/** What a person may look into further: SQL as text that can be copied, and traces that show it. */
import { useState } from 'preact/hooks'
import { html } from './html.ts'
import { traceHref } from './names.ts'

const TRACES = 5

export function Sql({ text }: { text: string }) {
  const [said, setSaid] = useState('')
  const copy = (): void => {
    // Only pages over https or of this machine may.
    const done = navigator.clipboard
      ? navigator.clipboard.writeText(text)
      : Promise.reject(new Error('no clipboard'))
    done.then(
      () => setSaid('copied'),
      () => setSaid('the browser does not allow it: select the text'),
    )
  }
  if (text === '') return null
  return html`<div class="copy-line"><h3>Evidence, as SQL</h3>
      <button type="button" class="small" onClick=${copy}>Copy</button><span class="note" role="status">${said}</span></div>
    <pre class="payload sql" tabindex="0" aria-label="Evidence, as SQL">${text}</pre>`
}

export function Traces({ ids }: { ids: readonly string[] }) {
  if (ids.length === 0) return null
  return html`<h3>Example traces</h3>
    <ul class="sentences">${ids.slice(0, TRACES).map((id) => html`<li key=${id}><a class="mono" href=${traceHref(id)}>${id}</a></li>`)}</ul>`
}
