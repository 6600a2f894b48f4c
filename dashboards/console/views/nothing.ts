/** What a view says when there are no calls in the time it looks at. */
import { html } from '../html.ts'
import { here } from '../route.ts'

export function Nothing() {
  return html`<span>No calls here. <a href=${here({ range: '7d', from: null, to: null })}>Look at 7 days</a>, take a filter away, or point a client at Weir: <code>weir up</code> prints how.</span>`
}
