/** The bank example as a newcomer starts it: one command, real servers, and what was allowed and refused, with the reason. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { zones } from '../../examples/bank/zones.ts'
import { makeFolder } from '../support/folder.ts'

const PROGRAM = join(import.meta.dirname, '../../examples/bank/run.ts')
let told = ''
let recorded: string[] = []

beforeAll(async () => {
  const folder = makeFolder('bank')
  try {
    const env = {
      PATH: process.env.PATH ?? '',
      TZ: 'UTC',
      NO_COLOR: '1',
      BANK_DATA: join(folder.path, 'data'),
    }
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM], { env, timeout: 150_000 })
    const [first, second] = stdout.split('What the record says of it:')
    told = first!
    recorded = second!
      .trim()
      .split('\n')
      .map((line) => line.replace(/ +/g, ' '))
  } finally {
    folder.remove()
  }
}, 180_000)

describe('the agents are told', () => {
  test.each([
    '✓ rm-agent reads her record → {"id":"C-1001"',
    '✗ rm-agent changes her risk profile\n      MCP error -32602: Unknown tool',
    '✗ rm-agent pays her rent, to a name\n      The arguments do not fit the input schema of the tool:\n      - /to_iban: must match the pattern',
    '✓ rm-agent pays her rent, corrected → booked T-1: EUR 800.00 from C-1001',
    '✗ rm-agent pays for a boat\n      MCP error -32602: Unknown tool',
    '✓ rm-agent pays a second small bill',
    '✗ rm-agent pays a third small bill\n      The calls of this period are used up (transfers a day',
    '✗ rm-agent buys shares\n      MCP error -32602: Unknown tool',
    '✓ rm-agent buys research on DE0007164600',
    '✗ rm-agent buys research on CH0038863350\n      The money of this period is spent (',
    '✗ rm-agent looks for Chiara, time 8\n      Too many calls in too short a time (lookups',
    '✓ ops-agent lists its tools → customers_find_customer\n',
    '✗ ops-agent pays itself\n      MCP error -32602: Unknown tool',
  ])('%s', (line) => expect(told).toContain(line))
})

describe('the record says', () => {
  test.each([
    /^✓ rm-agent customers\/customer_record ok allow managers see customers.*\[shadow: wealth data needs a reason\]$/,
    /^✗ rm-agent customers\/customer_record denied deny managers only read: /,
    /^✗ rm-agent payments\/transfer invalid invalid validation\.arguments: \/to_iban: pattern$/,
    /^✗ rm-agent payments\/transfer denied deny no large transfers: /,
    /^✗ rm-agent payments\/transfer limited limit transfers a day: /,
    /^✗ rm-agent payments\/place_order denied deny the exchange is closed: /,
    /^✗ rm-agent payments\/research_report limited limit budget:team:advisory:month: /,
    /^✗ rm-agent customers\/find_customer limited limit lookups: /,
    /^✗ ops-agent \S+ denied deny default: /,
  ])('%s', (line) => expect(recorded.filter((one) => line.test(one))).not.toEqual([]))

  test('each call once', () => expect(recorded).toHaveLength(23))

  test('no value of an argument', () => {
    expect(recorded.join('\n')).not.toContain('landlord')
    expect(recorded.join('\n')).not.toMatch(/48.?000/)
  })
})

test('whatever the hour, the bank is open somewhere and the exchange closed elsewhere', () => {
  const hour = (zone: string, at: Date): number =>
    Number(at.toLocaleTimeString('en-GB', { timeZone: zone, hour: '2-digit', hourCycle: 'h23' }).slice(0, 2))
  for (let quarter = 0; quarter < 366 * 96; quarter += 53) {
    const at = new Date(Date.UTC(2026, 0, 1, 0, quarter * 15))
    const { open, closed } = zones(at)
    expect(hour(open, at), `${open} at ${at.toISOString()}`).toBeGreaterThanOrEqual(8)
    expect(hour(open, at), `${open} at ${at.toISOString()}`).toBeLessThan(17)
    expect(hour(closed, at) < 9 || hour(closed, at) >= 16, `${closed} at ${at.toISOString()}`).toBe(true)
  }
})
