/**
 * Columns of text. Widths come from the rows; when the screen is too narrow, flexible columns shrink first, then the
 * columns of the highest rank are left out. On an endless screen (a pipe) nothing is cut and nothing left out.
 */
import { cells, pad, type Screen, type Style } from './terminal.ts'

export type Column = {
  readonly head: string
  readonly align?: 'left' | 'right'
  /** Narrowest width; below it the column is of no use. */
  readonly min: number
  /** Widest, on a screen. */
  readonly max?: number
  /** Columns with a higher rank are left out first; 0 stays. */
  readonly rank: number
}

/** A cell: clean text, and how it looks. */
export type Cell = string | { readonly text: string; readonly style: Style }

const GAP = 2
const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.text)

/** Widths of the columns; 0 = left out. `before`: widths that may only grow, for tables that go on. */
export function layout(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number,
  before: readonly number[] = [],
): number[] {
  const isEndless = !Number.isFinite(width)
  const wanted = columns.map((column, i) => {
    const natural = rows.reduce((most, row) => Math.max(most, cells(textOf(row[i]!))), cells(column.head))
    return Math.max(
      column.min,
      isEndless ? natural : Math.min(natural, column.max ?? natural),
      before[i] ?? 0,
    )
  })
  if (isEndless) return wanted
  const shown = new Set(columns.keys())
  const total = (of: readonly number[]): number =>
    [...shown].reduce((sum, i) => sum + of[i]!, 0) + GAP * Math.max(0, shown.size - 1)
  const minimal = columns.map((column, i) => Math.min(column.min, wanted[i]!))
  while (total(minimal) > width && shown.size > 1) {
    const last = [...shown].reduce((worst, i) => (columns[i]!.rank >= columns[worst]!.rank ? i : worst))
    if (columns[last]!.rank === 0) break
    shown.delete(last)
  }
  const widths = [...wanted]
  // One cell at a time from whichever has most above its minimum: fair, and the tables are small.
  while (total(widths) > width) {
    const spare = (i: number): number => widths[i]! - minimal[i]!
    const widest = [...shown].reduce((most, i) => (spare(i) > spare(most) ? i : most))
    if (spare(widest) <= 0) break
    widths[widest]!--
  }
  return widths.map((w, i) => (shown.has(i) ? w : 0))
}

/** One line without its line end. */
export function tableRow(
  columns: readonly Column[],
  widths: readonly number[],
  row: readonly Cell[],
  { paint }: Screen,
): string {
  const parts: string[] = []
  columns.forEach(({ align }, i) => {
    if (widths[i] === 0) return
    const cell = row[i]!
    const text = pad(textOf(cell), widths[i]!, align)
    parts.push(typeof cell === 'string' ? text : paint(cell.style, text))
  })
  const line = parts.join(' '.repeat(GAP))
  return typeof row.at(-1) === 'string' ? line.trimEnd() : line
}

export const tableHead = (columns: readonly Column[], widths: readonly number[], screen: Screen): string =>
  screen.paint(
    'dim',
    tableRow(
      columns,
      widths,
      columns.map((c) => c.head),
      { ...screen, paint: (_style, text) => text },
    ),
  )

/** A whole table, one string a line. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  screen: Screen,
): string[] {
  const widths = layout(columns, rows, screen.width)
  return [tableHead(columns, widths, screen), ...rows.map((row) => tableRow(columns, widths, row, screen))]
}
