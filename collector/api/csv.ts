/**
 * Rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula is kept from it by a leading apostrophe.
 * Lists and maps are written as JSON.
 */

/** Spreadsheets take these at the start of a cell for a formula; plain numbers are none. */
const FORMULA = /^[=+\-@\t\r]/
const NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i

function cell(value: unknown): string {
  if (value === null || value === undefined) return ''
  const plain = typeof value === 'object' ? JSON.stringify(value) : String(value)
  const text = typeof value === 'string' && FORMULA.test(plain) && !NUMBER.test(plain) ? `'${plain}` : plain
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** With a head line; columns are those of all rows, in the order they first appear. */
export function toCsv(rows: readonly Readonly<Record<string, unknown>>[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const line = (cells: readonly unknown[]): string => `${cells.map(cell).join(',')}\r\n`
  return [line(columns), ...rows.map((row) => line(columns.map((name) => row[name])))].join('')
}
