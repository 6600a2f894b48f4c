/** The stand-in for Grafana and its plugin, against expansions worked out by hand from the plugin's documentation and source. */
import { expect, it } from 'vitest'
import { adHocFilters, asSent, conditionalAll, expandMacros, interpolate, type Situation } from './plugin.ts'

const situation: Situation = {
  from: new Date('2026-11-20T10:00:00.250Z'),
  to: new Date('2026-11-20T11:30:00.750Z'),
  interval_ms: 90_500,
  variables: {},
}

it.each([
  ['$__timeFilter(ts)', 'ts >= toDateTime(1795168800) AND ts <= toDateTime(1795174200)'],
  [
    '$__timeFilter_ms(c.ts)',
    'c.ts >= fromUnixTimestamp64Milli(1795168800250) AND c.ts <= fromUnixTimestamp64Milli(1795174200750)',
  ],
  ['$__dateFilter(d)', "d >= toDate('2026-11-20') AND d <= toDate('2026-11-20')"],
  ['$__timeInterval(toDateTime(ts))', 'toStartOfInterval(toDateTime(toDateTime(ts)), INTERVAL 90 second)'],
  ['$__timeInterval_ms(ts)', 'toStartOfInterval(toDateTime64(ts, 3), INTERVAL 90500 millisecond)'],
  ['count() / $__interval_s', 'count() / 90'],
  ['$__fromTime, $__toTime', 'toDateTime(1795168800), toDateTime(1795174200)'],
  ['$__toTime_ms', 'fromUnixTimestamp64Milli(1795174200750)'],
  [
    '$__dt(d, t)',
    "(d >= toDate('2026-11-20') AND d <= toDate('2026-11-20')) AND (t >= toDateTime(1795168800) AND t <= toDateTime(1795174200))",
  ],
])('expands %s', (sql, expected) => {
  expect(expandMacros(sql, situation)).toBe(expected)
})

it('refuses a macro nobody knows, and a wrong number of arguments', () => {
  expect(() => expandMacros('$__timeFilte(ts)', situation)).toThrow('there is no macro $__timeFilte')
  expect(() => expandMacros('$__timeFilter(a, b)', situation)).toThrow('expected 1 argument(s), received 2')
})

it('drops a condition where All or nothing is chosen, and keeps it otherwise', () => {
  const sql = 'WHERE $__conditionalAll(a IN (${a:singlequote}), $a) AND $__conditionalAll(f(b, 1) = 2, ${b})'
  expect(conditionalAll(sql, { a: ['$__all'], b: '' })).toBe('WHERE 1=1 AND 1=1')
  expect(conditionalAll(sql, { a: ['x'], b: '2' })).toBe('WHERE a IN (${a:singlequote}) AND f(b, 1) = 2')
  expect(conditionalAll('$__conditionalAll(a IN ($a), $a)', { a: ['x'] })).toBe('a IN ($a)')
})

it('puts variables in: single, several, All, quoted, hostile', () => {
  const variables = { one: 'x', many: ['x', "o'hara"], all: ['$__all'] }
  const put = (sql: string): string =>
    interpolate(sql, { ...situation, variables, options: { all: ['p', 'q'] } })
  expect(put('$one ${one} ${one:singlequote}')).toBe("x x 'x'")
  expect(put('$many')).toBe("'x','o'hara'")
  expect(put('${many:singlequote} ${many:sqlstring} ${many:csv}')).toBe(
    "'x','o\\'hara' 'x','o''hara' x,o'hara",
  )
  expect(put('IN (${all:singlequote})')).toBe("IN ('p','q')")
  expect(put('$__interval_s $unknown')).toBe('$__interval_s $unknown')
})

it('appends ad-hoc filters as a setting for the first table', () => {
  expect(
    adHocFilters('SELECT 1 FROM v_calls WHERE 1', [
      { key: 'tool', operator: '=', value: 'x' },
      { key: 'server', operator: 'IN', value: "('a','b')" },
    ]),
  ).toBe(
    "SELECT 1 FROM v_calls WHERE 1 settings additional_table_filters={'v_calls' : ' tool = \\'x\\' AND server IN (\\'a\\',\\'b\\') '}",
  )
})

it('goes the whole way', () => {
  const sql =
    'SELECT $__timeInterval(t) AS time FROM v WHERE $__timeFilter(t) AND $__conditionalAll(s IN (${s:singlequote}), $s)'
  const sent = asSent(sql, { ...situation, variables: { s: ['a', 'b'] } })
  expect(sent).toBe(
    "SELECT toStartOfInterval(toDateTime(t), INTERVAL 90 second) AS time FROM v WHERE t >= toDateTime(1795168800) AND t <= toDateTime(1795174200) AND s IN ('a','b')",
  )
})
