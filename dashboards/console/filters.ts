/** What the page is narrowed to: one chip a filter, all of them in the address, and a field to add one. */
import { html } from './html.ts'
import { go, here, usePlace } from './route.ts'

export type Filters = Readonly<Record<string, string>>

/** The filters that are set, of those a view knows. */
export function filtersOf(params: Readonly<Record<string, string>>, names: readonly string[]): Filters {
  return Object.fromEntries(names.flatMap((name) => (params[name] ? [[name, params[name]]] : [])))
}

/** `names`: what may be filtered by, in the order shown. */
export function FilterBar({ names, hint = '' }: { names: readonly string[]; hint?: string }) {
  const { params } = usePlace()
  const set = Object.entries(filtersOf(params, names))
  const add = (event: SubmitEvent): void => {
    event.preventDefault()
    const form = event.target as HTMLFormElement
    const entered = new FormData(form)
    const value = String(entered.get('value')).trim()
    if (value) go(here({ [String(entered.get('field'))]: value, before: null, event: null }))
    form.reset()
  }
  return html`<div class="filters" role="search" aria-label="Filters">
    ${set.map(
      ([name, value]) => html`<span class="chip" key=${name}>
        <span class="chip-name">${name}</span> ${value}
        <button type="button" aria-label=${`Remove the filter ${name} = ${value}`} onClick=${() => go(here({ [name]: null, before: null, event: null }))}>×</button>
      </span>`,
    )}
    <form class="add-filter" onSubmit=${add}>
      <select name="field" aria-label="Field to filter by">${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select>
      <input name="value" id="filter-value" type="text" autocomplete="off" spellcheck=${false} placeholder=${hint || 'value'} aria-label="Value to filter by" />
      <button type="submit" class="small">Filter</button>
    </form>
    ${set.length > 1 && html`<button type="button" class="small quiet" onClick=${() => go(here({ ...Object.fromEntries(set.map(([name]) => [name, null])), before: null, event: null }))}>Clear all</button>`}
  </div>`
}
