/** A view whose figures this installation does not answer yet. */
import { html } from '../html.ts'
import { Panel } from '../panel.ts'
import { to } from '../route.ts'

export function Awaited() {
  return html`<${Panel} title="Not here yet" isEmpty=${true}
    empty=${html`This installation answers no questions of this kind. Every call is in <a href=${to('/audit')}>Audit</a>.`} />`
}
