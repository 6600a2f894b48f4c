/** Money in a view: rounded to read, exact to the nano-dollar below the pointer and for machines; what nobody can know is said, never zero. */
import { exactMoney, money } from './format.ts'
import { html } from './html.ts'

export const Exact = ({ nano }: { nano: number }) =>
  html`<data value=${String(nano)} title=${exactMoney(nano)}>${money(nano)}</data>`

/** `unpriced`: calls without a price among those whose costs are added up in `nano`. */
export function Amount({ nano, unpriced = 0 }: { nano: number; unpriced?: number }) {
  if (unpriced > 0 && nano === 0) return html`<span class="muted">unknown</span>`
  return html`${unpriced > 0 && html`<span title="and what calls without a price cost">≥ </span>`}<${Exact} nano=${nano} />`
}
