import { describe, expect, it } from 'vitest'
import { type Column, layout, table } from '../../cli/table.ts'
import {
  byteSize,
  cells,
  clean,
  cleanBlock,
  count,
  cut,
  duration,
  jsonLine,
  pad,
  type Screen,
  share,
} from '../../cli/terminal.ts'
import { treeOf, waterfall } from '../../cli/waterfall.ts'
import type { TraceSpan } from '../../collector/queries/trace.ts'
import type { TraceCall } from '../../collector/queries/trace-calls.ts'

const plain = (width: number): Screen => ({ isTTY: true, width, height: 40, paint: (_style, text) => text })

describe('text of strangers', () => {
  it('loses what a terminal would obey, and keeps the rest', () => {
    expect(clean('a\u001b[31mb\u001b]0;title\u0007c\u009b2Jd')).toBe('abcd')
    expect(clean('line\r\nnext\ttab')).toBe('line next tab')
    expect(clean('x\u202edcba\u2066y\u200b\ufeffz\u{e0041}')).toBe('xdcbayz')
    expect(clean('\ud800 größe 日本 🙂')).toBe('\ufffd größe 日本 🙂')
    expect(cleanBlock('a\tb\n\u001b[2Jc')).toBe('a\tb\nc')
  })

  it('is escaped in JSON and reads back the same', () => {
    const value = { tool: 'x\u009b\u202e\u2028\u007f"' }
    const line = jsonLine(value)
    expect(line.trimEnd()).toMatch(/^[\x20-\x7e]+$/)
    expect(JSON.parse(line)).toEqual(value)
  })
})

describe('figures', () => {
  it.each([
    [0, '0 µs'],
    [999, '999 µs'],
    [1_000, '1.00 ms'],
    [12_345, '12.3 ms'],
    [99_951, '100 ms'],
    [999_499, '999 ms'],
    [999_600, '1.00 s'],
    [59_949_000, '59.9 s'],
    [125_000_000, '2m 05s'],
    [11_220_000_000, '3h 07m'],
  ])('%i µs is %s', (us, text) => {
    expect(duration(us)).toBe(text)
  })
  it('has sizes, counts and shares', () => {
    expect([
      byteSize(0),
      byteSize(999),
      byteSize(1_000),
      byteSize(99_960),
      byteSize(999_600),
      byteSize(4_100_000),
    ]).toEqual(['0 B', '999 B', '1.00 kB', '100 kB', '1.00 MB', '4.10 MB'])
    expect([count(12_345), count(1_234_567)]).toEqual(['12,345', '1.23M'])
    expect([share(0), share(0.0004), share(0.034), share(0.5)]).toEqual(['0%', '<0.1%', '3.4%', '50%'])
  })
  it('measures what the eye sees', () => {
    expect([
      cells('abc'),
      cells('日本'),
      cells('🙂'),
      cut('日本語', 5),
      pad('日', 4),
      pad('a', 3, 'right'),
    ]).toEqual([3, 4, 2, '日本…', '日  ', '  a'])
  })
})

describe('tables', () => {
  const columns: Column[] = [
    { head: 'name', min: 4, max: 20, rank: 0 },
    { head: 'calls', align: 'right', min: 5, rank: 1 },
    { head: 'extra', min: 8, rank: 2 },
  ]
  it('shrink, then leave columns out, and never pass the width', () => {
    const rows = [['a-rather-long-name', '12', 'something']]
    for (const width of [80, 30, 22, 12])
      for (const line of table(columns, rows, plain(width))) expect(cells(line)).toBeLessThanOrEqual(width)
    expect(layout(columns, rows, 12)).toEqual([5, 5, 0])
    expect(table(columns, rows, plain(Number.POSITIVE_INFINITY))[1]).toBe(
      'a-rather-long-name     12  something',
    )
  })
})

const span = (
  span_id: string,
  parent_span_id: string,
  start_us: number,
  duration_us: number,
  more: Partial<TraceSpan> = {},
): TraceSpan => ({
  trace_id: 't',
  span_id,
  parent_span_id,
  name: span_id,
  kind: 'Internal',
  service: 'svc',
  start_us,
  duration_us,
  status: 'Unset',
  status_message: '',
  attributes: {},
  is_weir: false,
  phases: null,
  ...more,
})

describe('waterfall', () => {
  it('keeps every span once, whatever parents strangers claim', () => {
    const spans = [
      span('a', 'b', 0, 10),
      span('b', 'a', 1, 5),
      span('c', 'c', 2, 5),
      span('d', 'nowhere', 3, 5),
      span('a', '', 4, 5),
    ]
    const seen: string[] = []
    const visit = (nodes: ReturnType<typeof treeOf>): void =>
      nodes.forEach((node) => {
        seen.push(`${node.span.span_id}@${node.span.start_us}`)
        visit(node.children)
      })
    visit(treeOf(spans))
    expect(seen.sort()).toEqual(['a@0', 'a@4', 'b@1', 'c@2', 'd@3'])
  })
  it('draws bars on one axis, in their place', () => {
    const { lines } = waterfall(
      [span('whole', '', 0, 1000), span('late', 'whole', 500, 500)],
      new Map(),
      plain(60),
      10,
    )
    const bar = (line: string): [number, number] => [line.indexOf('░'), (line.match(/░/g) ?? []).length]
    const [from, length] = bar(lines[1]!)
    expect(bar(lines[2]!)).toEqual([from + Math.floor(length / 2), Math.round(length / 2)])
    for (const line of lines) expect(cells(line)).toBeLessThanOrEqual(60)
  })
  it('survives ten thousand spans in a chain, and cuts them', () => {
    const chain = Array.from({ length: 10_000 }, (_, i) => span(`s${i}`, i === 0 ? '' : `s${i - 1}`, i, 10))
    const { lines, shown } = waterfall(chain, new Map(), plain(80), 200)
    expect([lines.length, shown]).toEqual([201, 200])
    for (const line of lines) expect(cells(line)).toBeLessThanOrEqual(80)
  })
  it('shows who asks whom', () => {
    const asks = { 'weir.server': 'web', 'weir.kind': 'server_request' }
    const more = { is_weir: true, name: 'roots/list', attributes: asks }
    const phases = {
      receive_us: 0,
      authorise_us: 0,
      queue_us: 0,
      connect_us: 0,
      wait_us: 9,
      transfer_us: 0,
      answer_us: 0,
    }
    const asked = { span_id: 'q', kind: 'server_request', outcome: 'ok' } as TraceCall
    const { lines } = waterfall(
      [
        span('call', '', 0, 10, { is_weir: true, kind: 'Client', attributes: { 'weir.server': 'web' } }),
        span('q', 'call', 1, 9, { ...more, kind: 'Server', phases }),
        span('a', 'q', 1, 9, { ...more, kind: 'Client' }),
      ],
      new Map([['q', asked]]),
      plain(80),
      9,
    )
    expect(lines.length).toBe(4)
    expect(lines[1]).toContain('[→ web]')
    expect(lines[2]).toContain('└─ roots/list [web asks]')
    expect(lines[3]).toContain('└─ [→ client]')
  })
  it('marks the guilty phase and leaves out what has no room', () => {
    const phases = {
      receive_us: 1,
      authorise_us: 2,
      queue_us: 900,
      connect_us: 3,
      wait_us: 50,
      transfer_us: 0,
      answer_us: 4,
    }
    const weir = span('w', '', 0, 960, { is_weir: true, kind: 'Server', phases })
    const wide = waterfall([weir], new Map(), plain(140), 9).lines[2]!
    expect(wide).toContain('▸queue 94% 900 µs')
    expect(wide).toContain('transfer 0%')
    const narrow = waterfall([weir], new Map(), plain(50), 9).lines[2]!
    expect(narrow).toContain('▸queue')
    expect(cells(narrow)).toBeLessThanOrEqual(50)
  })
})
