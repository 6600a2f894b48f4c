import { describe, expect, it } from 'vitest'
import { limitsOf } from '../../store/options.ts'
import { parameterAssignments, readerPrologue, readerSettings, writerPrologue } from '../../store/settings.ts'
import { dissect } from '../../store/sql.ts'
import { optionsFor } from './support/child.ts'

const limits = limitsOf(optionsFor('/nowhere', { readers_max_seconds: 30 }))
const byUrl = (settings: Record<string, string>) => readerSettings(Object.entries(settings), [], limits)
const inText = (clause: string) => readerSettings([], dissect(`SELECT 1 SETTINGS ${clause}`).settings, limits)

describe('settings of a reader', () => {
  it('always carry every limit', () => {
    const names = byUrl({}).assignments.map((assignment) => assignment.split(' ')[0])
    for (const name of ['max_execution_time', 'max_memory_usage', 'max_result_rows', 'max_result_bytes'])
      expect(names).toContain(name)
  })

  it.each([
    ['5', '5'],
    ['30', '30'],
    ['31', '30'],
    ['0', '30'],
    ['1e9', '30'],
  ])('tighten max_execution_time %s to %s', (asked, got) => {
    expect(byUrl({ max_execution_time: asked }).assignments).toContain(`max_execution_time = ${got}`)
    expect(inText(`max_execution_time = ${asked}`).assignments).toContain(`max_execution_time = ${got}`)
  })

  it.each(['-1', 'x', 'Infinity', '1; DROP'])('refuse %s as a limit', (asked) => {
    expect(() => byUrl({ max_execution_time: asked })).toThrow(/must be a number/)
  })

  it('apply the shape of answers, ignore habits, refuse the rest', () => {
    expect(byUrl({ output_format_json_quote_64bit_integers: '1' }).assignments).toContain(
      "output_format_json_quote_64bit_integers = '1'",
    )
    expect(byUrl({ async_insert: '1', readonly: '2', log_comment: 'x' }).assignments.join()).not.toMatch(
      /async_insert|readonly|log_comment/,
    )
    expect(() => byUrl({ max_memory_usage_for_user: '1' })).toThrow(/max_memory_usage_for_user/)
    expect(() => byUrl({ output_format_schema: '/x' })).toThrow(/output_format_schema/)
  })

  it('hand every expression of a filter to the guard, and only those', () => {
    const filter = "{'weir.calls' : 'a = 1', 'weir.spans':'b = \\'c\\''}"
    for (const { expressions, assignments } of [
      inText(`additional_table_filters = ${filter}`),
      byUrl({ additional_table_filters: filter }),
    ]) {
      expect(expressions).toEqual(['a = 1', "b = 'c'"])
      expect(assignments).toContain(
        "additional_table_filters = { 'weir.calls' : 'a = 1' , 'weir.spans' : 'b = \\'c\\'' }",
      )
    }
    expect(byUrl({ additional_result_filter: 'a = 1' }).expressions).toEqual(['a = 1'])
  })

  it('reach the engine rewritten, without comments or quotes of the client', () => {
    const { assignments } = inText("additional_table_filters = {'a' /* ' */ : $x$b'; DROP TABLE t; --$x$}")
    expect(assignments).toContain("additional_table_filters = { 'a' : 'b\\'; DROP TABLE t; --' }")
    expect(inText("session_timezone = 'UTC' -- x\n").assignments).toContain("session_timezone = 'UTC'")
  })

  it('are literals and nothing that could be called', () => {
    for (const clause of ['limit = length(x)', "additional_table_filters = map('a', 'b')", 'limit = `x`'])
      expect(() => inText(clause)).toThrow(/literal/)
    expect(() => byUrl({ additional_table_filters: "map('a', file('b'))" })).toThrow(/literal/)
  })
})

describe('prologues', () => {
  it('quote what came from outside', () => {
    const sql = readerPrologue('weir', "id'x", [], parameterAssignments([['p', "'; DROP TABLE t; --"]]))
    expect(sql).toContain("param_p = '\\'; DROP TABLE t; --'")
    expect(sql).toContain("log_comment = 'id\\'x'")
  })

  it('refuse names that are none', () => {
    expect(() => parameterAssignments([['a b', '1']])).toThrow(/plain name/)
    expect(() => writerPrologue('weir', 'id', [['a = 1; DROP', '1']], [])).toThrow(/Unknown setting/)
  })
})
