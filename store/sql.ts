/**
 * Just enough of ClickHouse's SQL to find the edges of a statement: tokens, the clauses at its end, where inline data begins.
 * Nothing here decides what is allowed: the guard judges with the engine's own parser, on the text this file returns.
 */

/** `name` is a bare or quoted identifier or keyword (`value` unquoted), `text` a string literal. */
export type Token = {
  kind: 'name' | 'quoted' | 'text' | 'number' | 'sign'
  value: string
  start: number
  end: number
}

const escapes: Record<string, string> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '0': '\0',
  b: '\b',
  f: '\f',
  a: '\x07',
  v: '\v',
  e: '\x1b',
}

function unescaped(raw: string, quote: string): string {
  return raw
    .replaceAll(quote + quote, quote)
    .replace(/\\(x[0-9a-fA-F]{2}|[\s\S])/g, (_, c: string) =>
      c.length === 3 ? String.fromCharCode(Number.parseInt(c.slice(1), 16)) : (escapes[c] ?? c),
    )
}

/** The end of a quoted run that began at `start`, or the end of the text when it never closes. */
function quotedEnd(sql: string, start: number): number {
  const quote = sql[start]!
  let at = start + 1
  while (at < sql.length) {
    if (sql[at] === '\\') at += 2
    else if (sql[at] !== quote) at++
    else if (sql[at + 1] === quote) at += 2
    else return at + 1
  }
  return sql.length
}

const skip = /(?:\s+|--[^\n]*|#[ !][^\n]*|\/\*[\s\S]*?(?:\*\/|$))*/y
const blank = /\s*/y
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const number = /\d[\w.]*/y
const heredoc = /\$(\w*)\$/y

function match(rule: RegExp, sql: string, at: number): RegExpExecArray | null {
  rule.lastIndex = at
  return rule.exec(sql)
}

/**
 * The token at or after `from`, or null at the end; comments and blanks are skipped. Canonical text holds neither comments
 * nor heredocs, so there nothing that looks like one may hide what follows.
 */
function tokenAt(sql: string, from: number, isCanonical = false): Token | null {
  const start = from + match(isCanonical ? blank : skip, sql, from)![0].length
  if (start >= sql.length) return null
  const first = sql[start]!
  if (first === "'" || first === '`' || first === '"') {
    const end = quotedEnd(sql, start)
    const value = unescaped(sql.slice(start + 1, end - 1), first)
    return { kind: first === "'" ? 'text' : 'quoted', value, start, end }
  }
  const tag = isCanonical ? null : match(heredoc, sql, start)
  const close = tag ? sql.indexOf(tag[0], start + tag[0].length) : -1
  if (tag && close > 0) {
    const value = sql.slice(start + tag[0].length, close)
    return { kind: 'text', value, start, end: close + tag[0].length }
  }
  const name = match(word, sql, start)
  if (name) return { kind: 'name', value: name[0], start, end: start + name[0].length }
  const digits = match(number, sql, start)
  if (digits) return { kind: 'number', value: digits[0], start, end: start + digits[0].length }
  return { kind: 'sign', value: first, start, end: start + 1 }
}

/** All tokens of `sql`; `isCanonical` for text the engine itself rendered. */
export function tokensOf(sql: string, isCanonical = false): Token[] {
  const tokens: Token[] = []
  for (let token = tokenAt(sql, 0, isCanonical); token; token = tokenAt(sql, token.end, isCanonical))
    tokens.push(token)
  return tokens
}

const isWord = (token: Token | undefined, upper: string): boolean =>
  token?.kind === 'name' && token.value.length === upper.length && token.value.toUpperCase() === upper
const isSign = (token: Token | undefined, sign: string): boolean =>
  token?.kind === 'sign' && token.value === sign

/** One `name = value` of a SETTINGS clause; `raw` is the value as written, `tokens` what it consists of. */
export type Assignment = { name: string; raw: string; tokens: Token[] }

/** A statement without its closing clauses. `body` keeps everything else byte for byte. */
export type Dissected = { body: string; format: string | null; settings: Assignment[]; settings_text: string }

/** Reads `name = value, ...` up to the end of `tokens`, or null when it is anything else. */
function assignments(sql: string, tokens: Token[]): Assignment[] | null {
  const list: Assignment[] = []
  let at = 0
  while (at < tokens.length) {
    const name = tokens[at]!
    if ((name.kind !== 'name' && name.kind !== 'quoted') || !isSign(tokens[at + 1], '=')) return null
    const from = at + 2
    let depth = 0
    for (at = from; at < tokens.length; at++) {
      const token = tokens[at]!
      if (token.kind === 'sign' && '([{'.includes(token.value)) depth++
      if (token.kind === 'sign' && ')]}'.includes(token.value)) depth--
      if (depth < 0) return null
      if (depth === 0 && isSign(token, ',')) break
      // A value is a literal; a keyword in its place means that this is no SETTINGS clause.
      if (depth === 0 && token.kind === 'name' && at > from) return null
    }
    if (at === from || depth !== 0) return null
    const value = tokens.slice(from, at)
    list.push({ name: name.value, raw: sql.slice(value[0]!.start, value.at(-1)!.end), tokens: value })
    at++
  }
  return list.length > 0 ? list : null
}

/** Cuts `FORMAT x` and a SETTINGS clause, in either order, and closing semicolons off the end of a statement. */
export function dissect(sql: string): Dissected {
  let tokens = tokensOf(sql)
  let format: string | null = null
  let settings: Assignment[] = []
  let settings_text = ''
  const cutSemicolons = () => {
    while (isSign(tokens.at(-1), ';')) tokens.pop()
  }
  cutSemicolons()
  for (let round = 0; round < 2; round++) {
    const last = tokens.at(-1)
    if (!format && tokens.length > 2 && isWord(tokens.at(-2), 'FORMAT') && last?.kind === 'name') {
      format = last.value
      tokens = tokens.slice(0, -2)
      continue
    }
    const at = tokens.findLastIndex((token) => isWord(token, 'SETTINGS'))
    const found = at > 0 && settings.length === 0 ? assignments(sql, tokens.slice(at + 1)) : null
    if (found) {
      settings = found
      settings_text = sql.slice(tokens[at + 1]!.start, tokens.at(-1)!.end)
      tokens = tokens.slice(0, at)
    }
  }
  cutSemicolons()
  return { body: tokens.length > 0 ? sql.slice(0, tokens.at(-1)!.end) : '', format, settings, settings_text }
}

/** The first keyword of the statement in upper case, `(` for a bracketed one, '' when there is none. */
export function verbOf(sql: string): string {
  const token = tokenAt(sql, 0)
  return token && (token.kind === 'name' || token.value === '(') ? token.value.toUpperCase() : ''
}

/** An INSERT with data after it. `target` is everything up to the columns, `settings` the text after SETTINGS. */
export type Insert = { target: string; settings: string; format: string; data_start: number }

const lineEnd = /[ \t]*;?[ \t]*\r?\n?/y

/**
 * Splits `INSERT INTO t (a, b) SETTINGS x=1 FORMAT y <data>` or `... VALUES <data>`.
 * Null when it is no INSERT or carries no data (INSERT SELECT). Offsets are those of `sql`.
 */
export function insertOf(sql: string): Insert | null {
  let token = tokenAt(sql, 0)
  if (!token || !isWord(token, 'INSERT')) return null
  let depth = 0
  let settingsFrom = -1
  let targetEnd = token.end
  let previous = token
  for (token = tokenAt(sql, token.end); token; previous = token, token = tokenAt(sql, token.end)) {
    if (token.kind === 'sign' && '([{'.includes(token.value)) depth++
    if (token.kind === 'sign' && ')]}'.includes(token.value)) depth--
    // A table may be called like a keyword: what follows INTO, TABLE or a dot is its name.
    const isName = isWord(previous, 'INTO') || isWord(previous, 'TABLE') || isSign(previous, '.')
    if (
      depth === 0 &&
      token.kind === 'name' &&
      !(isName && !isWord(token, 'TABLE') && !isWord(token, 'FUNCTION'))
    ) {
      if (
        isWord(token, 'SELECT') ||
        isWord(token, 'WITH') ||
        isWord(token, 'FROM') ||
        isWord(token, 'EXPLAIN')
      )
        return null
      const isValues = isWord(token, 'VALUES')
      if (isValues || isWord(token, 'FORMAT')) {
        const name = isValues ? token : tokenAt(sql, token.end)
        if (name?.kind !== 'name') return null
        const settings = settingsFrom < 0 ? '' : sql.slice(settingsFrom, previous.end)
        const data_start = isValues ? name.end : name.end + match(lineEnd, sql, name.end)![0].length
        return {
          target: sql.slice(0, targetEnd),
          settings,
          format: isValues ? 'Values' : name.value,
          data_start,
        }
      }
      if (settingsFrom < 0 && isWord(token, 'SETTINGS')) settingsFrom = token.end
    }
    if (settingsFrom < 0) targetEnd = token.end
  }
  return null
}

/** `value` as a string literal. */
export function literal(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/** Whether `name` may stand unquoted in a statement. */
export function isPlainName(name: string): boolean {
  return /^[A-Za-z_]\w{0,127}$/.test(name)
}
