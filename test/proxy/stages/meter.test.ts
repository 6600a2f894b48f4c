import { expect, test } from 'vitest'
import { parseConfig } from '../../../config/load.ts'
import { moneyOptions } from '../../../config/price-book.ts'
import { type Call, NO_METERS } from '../../../proxy/call.ts'
import { meter } from '../../../proxy/stages/meter.ts'

const stageOf = (prices: string) =>
  meter(
    moneyOptions(
      parseConfig(`servers: { files: { url: "http://localhost:1/mcp" } }\nprices: ${prices}`, 'w.yaml', {})
        .config,
    ).prices,
  )
function metersOf(prices: string, args: unknown, more: object = {}): Record<string, number> {
  const call = {
    kind: 'request',
    method: 'tools/call',
    server: 'files',
    tool: 'scan',
    message: { params: { arguments: args } },
    meters: NO_METERS,
    ...more,
  } as unknown as Call
  void stageOf(prices)!.before(call)
  return call.meters
}
const SCAN =
  '[{ server: files, tool: scan, formula: "args.pages * 0.1 + size(args.text) * 0.2 + args.deep.copies" }]'

test('without a formula that asks for arguments the stage is not there', () => {
  expect(stageOf('[{ per_call_usd: 1 }]')).toBeNull()
  expect(stageOf('[{ formula: "tokens_in * 0.1" }]')).toBeNull()
})

test('takes the numbers a formula names, and nothing else', () => {
  const args = { pages: 3, text: 'añ😀', deep: { copies: 2 }, secret: 'hunter2', iban: 42 }
  expect(metersOf(SCAN, args)).toEqual({ pages: 3, 'size(text)': 3, 'deep.copies': 2 })
  expect(metersOf(SCAN, { text: [1, 2] })).toEqual({ 'size(text)': 2 })
})

test('never takes a text, or what only looks like a number or an argument', () => {
  expect(metersOf(SCAN, { pages: '3', text: 5, deep: 7 })).toEqual({})
  expect(metersOf(SCAN, null)).toEqual({})
  expect(metersOf('[{ formula: "args.constructor.length * 1.0" }]', {})).toEqual({})
})

test('other tools, servers and methods give nothing', () => {
  expect(metersOf(SCAN, { pages: 3 }, { tool: 'read' })).toBe(NO_METERS)
  expect(metersOf(SCAN, { pages: 3 }, { server: 'bank' })).toBe(NO_METERS)
  expect(metersOf(SCAN, { pages: 3 }, { method: 'prompts/get' })).toBe(NO_METERS)
})
