/** Money in a view: rounded to read, exact to the nano-dollar below the pointer and for machines; what nobody can know is said, never zero. */
import { exactMoney, money } from './format.ts'
import { html } from './html.ts'

export const Exact = ({ nano }: { nano: number }) =>
  html`<data value=${String(nano)} title=${exactMoney(nano)}>${money(nano)}</data>`

/**
 * A sum. `unpriced`: how many of what is added up in `nano` have no price (calls, tokens). Where nothing has one, the sum is
 * unpriced; where some have none, it is at least `nano`.
 */
export function Amount({ nano, unpriced = 0 }: { nano: number; unpriced?: number }) {
  if (unpriced > 0 && nano === 0) return html`<span class="muted">unpriced</span>`
  return html`${unpriced > 0 && html`<span title="and what has no price">≥ </span>`}<${Exact} nano=${nano} />`
}
