import { describe, expect, it } from 'vitest'
import { dissect, insertOf, literal, tokensOf, verbOf } from '../../store/sql.ts'

const values = (sql: string, isCanonical = false) => tokensOf(sql, isCanonical).map((token) => token.value)

describe('tokensOf', () => {
  it('reads names, text, numbers and signs, and skips comments', () => {
    expect(values('SELECT `a b`, "c""d", \'e\'\'f\\n\' -- g\n/* h */ + 1.5e3 # i\n')).toEqual([
      'SELECT',
      'a b',
      ',',
      'c"d',
      ',',
      "e'f\n",
      '+',
      '1.5e3',
    ])
  })

  it('reads heredocs, escapes and text that never ends', () => {
    expect(values("$a$ it's $$ $a$, `\\x66ile`, 'open")).toEqual([" it's $$ ", ',', 'file', ',', 'ope'])
  })

  it('sees through comments and heredocs in canonical text', () => {
    expect(values('a --b $$c$$', true)).toEqual(['a', '-', '-', 'b', '$', '$', 'c$$'])
  })
})

describe('dissect', () => {
  it.each([
    ['SELECT 1', 'SELECT 1', null, []],
    ['SELECT 1 ; ; ', 'SELECT 1', null, []],
    ['SELECT 1 -- end', 'SELECT 1', null, []],
    ['SELECT 1 FORMAT JSON', 'SELECT 1', 'JSON', []],
    ['SELECT 1 format JSON;', 'SELECT 1', 'JSON', []],
    ["SELECT 1 FORMAT JSON SETTINGS a = 1, b = 'x, y'", 'SELECT 1', 'JSON', ['a=1', "b='x, y'"]],
    ['SELECT 1 settings a = -1 FORMAT JSON', 'SELECT 1', 'JSON', ['a=-1']],
    ["SELECT 1 settings f={'t' : ' a = \\'b\\' '}", 'SELECT 1', null, ["f={'t' : ' a = \\'b\\' '}"]],
    ['SELECT 1 AS format', 'SELECT 1 AS format', null, []],
    ["SELECT 'FORMAT JSON'", "SELECT 'FORMAT JSON'", null, []],
    ['SELECT (SELECT 1 SETTINGS a = 1)', 'SELECT (SELECT 1 SETTINGS a = 1)', null, []],
    ['SELECT 1 SETTINGS a = 1 UNION ALL SELECT 2', 'SELECT 1 SETTINGS a = 1 UNION ALL SELECT 2', null, []],
    ['SELECT settings FROM t', 'SELECT settings FROM t', null, []],
    ['', '', null, []],
  ])('takes %j apart', (sql, body, format, settings) => {
    const parts = dissect(sql)
    expect([parts.body, parts.format, parts.settings.map(({ name, raw }) => `${name}=${raw}`)]).toEqual([
      body,
      format,
      settings,
    ])
  })
})

describe('insertOf', () => {
  it.each([
    ['INSERT INTO t FORMAT CSV\n1,2', 'INSERT INTO t', '', 'CSV', '1,2'],
    ['INSERT INTO t FORMAT CSV 1,2', 'INSERT INTO t', '', 'CSV', '1,2'],
    ['INSERT INTO t FORMAT CSV\n\n1,2', 'INSERT INTO t', '', 'CSV', '\n1,2'],
    [
      "-- why\nINSERT INTO db.t (a, `b c`) SETTINGS x = 1, y = 'FORMAT Z' FORMAT Native\r\nxyz",
      '-- why\nINSERT INTO db.t (a, `b c`)',
      "x = 1, y = 'FORMAT Z'",
      'Native',
      'xyz',
    ],
    ['INSERT INTO values VALUES (1)', 'INSERT INTO values', '', 'Values', ' (1)'],
    ['INSERT INTO TABLE db.format FORMAT TSV\n1', 'INSERT INTO TABLE db.format', '', 'TSV', '1'],
    [
      "INSERT INTO FUNCTION null('a Int8') FORMAT TSV\n1",
      "INSERT INTO FUNCTION null('a Int8')",
      '',
      'TSV',
      '1',
    ],
    ['INSERT INTO t (* EXCEPT(format)) FORMAT TSV\n1', 'INSERT INTO t (* EXCEPT(format))', '', 'TSV', '1'],
  ])('splits %j', (sql, target, settings, format, data) => {
    const insert = insertOf(sql)!
    expect([insert.target, insert.settings.trim(), insert.format, sql.slice(insert.data_start)]).toEqual([
      target,
      settings,
      format,
      data,
    ])
  })

  it.each([
    'INSERT INTO t SELECT 1 FORMAT CSV',
    'INSERT INTO t WITH 1 AS x SELECT x',
    "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
    'SELECT 1 FORMAT CSV',
    'INSERT INTO t',
    '',
  ])('leaves %j whole', (sql) => expect(insertOf(sql)).toBe(null))
})

describe('small things', () => {
  it('finds the verb', () => {
    expect(['/* x */ select 1', '(select 1)', "'x'", ''].map(verbOf)).toEqual(['SELECT', '(', '', ''])
  })

  it('writes literals that read back the same', () => {
    for (const value of ["it's", '\\', "\\'", 'a\nb\0c', "'; DROP TABLE t; --"])
      expect(tokensOf(literal(value))[0]!.value).toBe(value)
  })
})
