/**
 * What a reader's statement may be and name. The engine runs as clickhouse-local, where `readonly` and roles still leave
 * the scalar `file`, INTO OUTFILE, SET ROLE and KILL open, so each statement is judged before it runs:
 * one statement that only reads (the engine's classifier), and no forbidden name in the engine's own canonical rendering.
 * Pure but for the two questions asked of the engine through `Judge`.
 */
import { StoreError } from './errors.ts'
import {
  bannedNames,
  isRefusedTableFunction,
  schemaTables,
  shows,
  systemTables,
  verbs,
} from './reader-names.ts'
import { type Token, tokensOf } from './sql.ts'

/** The engine's parser, as the guard needs it. */
export type Judge = {
  classify(sql: string): Promise<{ statementCount: number; queryClass: number }>
  /** The statement on one line, comments gone and every name in its plain form. Throws code 62 when it cannot be parsed. */
  canonical(sql: string): Promise<string>
}

const denied = (text: string): StoreError => new StoreError(497, 'ACCESS_DENIED', text)

const isName = (token: Token | undefined): token is Token =>
  token?.kind === 'name' || token?.kind === 'quoted'
const isSign = (token: Token | undefined, sign: string): boolean =>
  token?.kind === 'sign' && token.value === sign

/** Throws code 497 when the canonical text names what readers may not touch. String literals are not looked into. */
export function checkNames(canonical: string): void {
  const tokens = tokensOf(canonical, true)
  tokens.forEach((token, at) => {
    if (
      isSign(token, '{') &&
      isName(tokens[at + 1]) &&
      isSign(tokens[at + 2], ':') &&
      tokens[at + 3]?.value === 'Identifier'
    )
      throw denied(
        `readers cannot use the parameter {${tokens[at + 1]!.value}:Identifier}; write the name into the statement`,
      )
    if (!isName(token)) return
    // The engine checks `readonly` against the outermost clause only; a filter deeper down is an expression nobody judged.
    if (
      token.kind === 'name' &&
      token.value === 'SETTINGS' &&
      isName(tokens[at + 1]) &&
      isSign(tokens[at + 2], '=')
    )
      throw denied(
        'readers may bring settings in the URL or in the closing SETTINGS clause, not inside a statement',
      )
    const name = token.value
    if (bannedNames.has(name))
      throw denied(
        `readers cannot use the name "${name}", which the engine knows as a function that reaches outside the database; a column of that name needs an alias in a view`,
      )
    if (isSign(tokens[at + 1], '(') && isRefusedTableFunction(name))
      throw denied(`readers cannot use the table function ${name}(); it reaches outside the database`)
    if (!isSign(tokens[at + 1], '.') || !isName(tokens[at + 2]) || isSign(tokens[at - 1], '.')) return
    const table = tokens[at + 2]!.value
    if (name === 'system' && !systemTables.has(table))
      throw denied(`readers cannot read system.${table}; open to them are ${[...systemTables].join(', ')}`)
    if (name.toLowerCase() === 'information_schema' && !schemaTables.has(table.toLowerCase()))
      throw denied(`readers cannot read ${name}.${table}`)
    if (name === 'default')
      throw denied('readers cannot use the database "default", which shows the file system')
  })
}

/** Throws unless the canonical text begins like a statement readers may run. */
function checkVerb(canonical: string): void {
  const [first, second] = tokensOf(canonical, true)
  const verb = first?.value.toUpperCase() ?? ''
  if (!verbs.has(verb))
    throw new StoreError(
      164,
      'READONLY',
      `readers cannot run ${verb} statements; they may SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN`,
    )
  if (
    verb === 'SHOW' &&
    (!shows.has(second?.value.toUpperCase() ?? '') || /\bPROCESSLIST\b/i.test(canonical))
  )
    throw denied(`readers cannot run SHOW ${second?.value ?? ''}`)
}

/** Throws unless `sql` is exactly one statement, for writers and readers alike. Answers its class. */
export async function checkSingle(sql: string, judge: Judge): Promise<number> {
  const { statementCount, queryClass } = await judge.classify(sql)
  if (statementCount > 1)
    throw new StoreError(
      62,
      'SYNTAX_ERROR',
      `Multi-statements are not allowed: found ${statementCount} in one request; send one statement a request`,
    )
  if (statementCount !== 1 || queryClass === 4) {
    await judge.canonical(sql)
    throw new StoreError(
      62,
      'SYNTAX_ERROR',
      'Syntax error: the request holds no statement the engine can parse',
    )
  }
  return queryClass
}

/**
 * Throws unless a reader may run `sql` as it stands; `expressions` are filters that came as settings.
 * Answers the statement that must run right before it.
 */
export async function guardReader(sql: string, expressions: string[], judge: Judge): Promise<string> {
  const queryClass = await checkSingle(sql, judge)
  if (queryClass === 3)
    throw new StoreError(
      164,
      'READONLY',
      'readers cannot run statements that control the engine or write files (SET, USE, KILL, SYSTEM, INTO OUTFILE ...); settings go into the URL or a closing SETTINGS clause',
    )
  if (queryClass !== 0)
    throw new StoreError(
      164,
      'READONLY',
      "Cannot execute query in readonly mode: these credentials may only read; use the writer's to change data",
    )
  const canonical = await judge.canonical(sql)
  checkVerb(canonical)
  checkNames(canonical)
  // An empty filter and a table's name are strings of such a setting too, and both read as an expression or not at all.
  for (const expression of expressions)
    if (expression.trim()) checkNames(await judge.canonical(`SELECT ${expression}`))
  // Python's client looks there for what it may send, and under 1 all settings would show as fixed. What 2 permits
  // beyond 1 is to change settings inside the statement, which no statement does that got here.
  return /\bsystem\.settings\b/.test(canonical) ? 'SET readonly = 2' : 'SET readonly = 1'
}
