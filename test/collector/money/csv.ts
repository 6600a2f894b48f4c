/** Reads CSV as RFC 4180 has it, with a head: for what Weir exports. */
export function parseCsv(text: string): Record<string, string>[] {
  const rows: string[][] = [[]]
  const field = /("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n|$)/gy
  for (
    let match = field.exec(text);
    match && (match[0] !== '' || field.lastIndex < text.length);
    match = field.exec(text)
  ) {
    const [, raw = '', end = ''] = match
    rows.at(-1)!.push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw)
    if (end !== ',') rows.push([])
    if (end === '') break
  }
  const [head = [], ...body] = rows.filter((row) => row.length > 0)
  return body.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i] ?? ''])))
}
