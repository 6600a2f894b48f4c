/**
 * Rows with a head that sorts. Sorting and page live in the address. A cell is text unless its column draws it; the first
 * cell of a row may be a link, so every row can be reached by keyboard.
 */
import { createTable, getCoreRowModel, getSortedRowModel, type SortingState } from '@tanstack/table-core'
import { type Children, html } from './html.ts'
import { go, here, usePlace } from './route.ts'

export type Column<Row> = {
  key: string
  head: string
  /** What is sorted by, and shown unless `cell` draws it. */
  value(row: Row): string | number
  cell?(row: Row): Children
  isNumber?: boolean
  /** Long head explained. */
  about?: string
  isSortable?: boolean
  class?: string
}

type TableProps<Row> = {
  /** Names its parameters in the address; unique in a view. */
  id: string
  caption: string
  columns: readonly Column<Row>[]
  rows: readonly Row[]
  /** Column sorted by at first; `-` in front: greatest first. '' keeps the order of the rows. */
  sort?: string
  page_size?: number
  isSelected?(row: Row): boolean
}

export function Table<Row>(props: TableProps<Row>) {
  const { id, columns, rows, page_size = 50 } = props
  const { params } = usePlace()
  const sortText = params[`sort_${id}`] ?? props.sort ?? ''
  const sorted = { key: sortText.replace(/^-/, ''), isDown: sortText.startsWith('-') }
  const sorting: SortingState = columns.some((c) => c.key === sorted.key)
    ? [{ id: sorted.key, desc: sorted.isDown }]
    : []
  const table = createTable<Row>({
    data: rows as Row[],
    columns: columns.map((column) => ({
      id: column.key,
      accessorFn: (row: Row) => column.value(row),
      sortUndefined: 'last',
    })),
    state: { sorting, columnPinning: { left: [], right: [] } },
    onStateChange: () => {},
    renderFallbackValue: null,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
  })
  const all = table.getSortedRowModel().rows
  const pages = Math.max(1, Math.ceil(all.length / page_size))
  const page = Math.min(pages, Math.max(1, Number(params[`page_${id}`]) || 1))
  const shown = all.slice((page - 1) * page_size, page * page_size)
  return html`<div class="table-box" tabindex="0" role="region" aria-label=${`${props.caption}: table`}>
      <table>
        <caption class="unseen">${props.caption}</caption>
        <thead><tr>${columns.map((column) => html`<${Head} key=${column.key} id=${id} column=${column} sorted=${sorted} />`)}</tr></thead>
        <tbody>
          ${shown.map(
            (row) => html`<tr key=${row.id} class=${props.isSelected?.(row.original) ? 'selected' : ''}>
              ${columns.map((column) => html`<td key=${column.key} class=${classOf(column)}>${column.cell ? column.cell(row.original) : column.value(row.original)}</td>`)}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${pages > 1 && html`<${Pages} id=${id} caption=${props.caption} page=${page} pages=${pages} rows=${all.length} />`}`
}

const classOf = (column: Column<never>): string => `${column.isNumber ? 'number' : ''} ${column.class ?? ''}`

function Head({
  id,
  column,
  sorted,
}: {
  id: string
  column: Column<never>
  sorted: { key: string; isDown: boolean }
}) {
  const isSorted = sorted.key === column.key
  const direction = isSorted ? (sorted.isDown ? 'descending' : 'ascending') : 'none'
  if (column.isSortable === false)
    return html`<th scope="col" class=${classOf(column)} title=${column.about}>${column.head}</th>`
  // Numbers begin with the greatest, words with the first.
  const next = isSorted
    ? sorted.isDown
      ? column.key
      : `-${column.key}`
    : column.isNumber
      ? `-${column.key}`
      : column.key
  return html`<th scope="col" class=${classOf(column)} aria-sort=${direction}>
    <button type="button" class="sort" title=${column.about} onClick=${() => go(here({ [`sort_${id}`]: next, [`page_${id}`]: null }), { replace: true })}>
      ${column.head}<span class="arrow" aria-hidden="true">${isSorted ? (sorted.isDown ? '↓' : '↑') : ''}</span>
    </button>
  </th>`
}

function Pages({
  id,
  caption,
  page,
  pages,
  rows,
}: {
  id: string
  caption: string
  page: number
  pages: number
  rows: number
}) {
  const turn = (n: number) => () =>
    go(here({ [`page_${id}`]: n === 1 ? null : String(n) }), { replace: true })
  return html`<nav class="pages" aria-label=${`Pages of ${caption}`}>
    <button type="button" class="small" disabled=${page === 1} onClick=${turn(page - 1)}>Earlier rows</button>
    <span>Page ${page} of ${pages} · ${rows} rows</span>
    <button type="button" class="small" disabled=${page === pages} onClick=${turn(page + 1)}>More rows</button>
  </nav>`
}
