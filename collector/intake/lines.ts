/**
 * A segment's text → the rows of a batch. Line by line, each judged alone: a bad line becomes a dead letter and harms no other.
 * Long batches are read in slices, so that health checks and other batches get their turn in between.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Facts, Rated } from '../../config/cost-book.ts'
import type { CallEvent } from '../../event/fields.ts'
import { readDefinition, readList } from './catalogue.ts'
import { type DeadReason, factsOf, payloadRows, RowError, readEvent, readIntent } from './row.ts'

/** A line that could not become a row. `row_no` counts lines from 0. */
export type DeadLetter = { row_no: number; reason: DeadReason; error: string; body: string }

/** Rows are ready JSONCompactEachRow lines; `row_no` of `calls[i]` is `callRows[i]`. */
export type BatchRows = {
  calls: string[]
  callRows: number[]
  /** The events themselves, for the export; empty unless asked for. */
  events: CallEvent[]
  payloads: string[]
  intents: string[]
  /** Of tool definitions, and of the tools in lists. */
  definitions: string[]
  listed: string[]
  dead: DeadLetter[]
  first_ts: number
  last_ts: number
  unknownFields: number
  /** Some of their names, for one log line. */
  unknownNames: string[]
}

/** Longest part of a dead line that is kept. */
export const DEAD_BODY_MAX = 65_536
/** Characters read before others get their turn: about 5 ms. */
const SLICE = 1_048_576
/** An escaped surrogate may stand alone: valid in JSON, and in no database. */
const SURROGATE = /\\u[dD][89a-fA-F]/

type Reviver = (key: string, value: unknown) => unknown
const wellFormed: Reviver = (_, value) => (typeof value === 'string' ? value.toWellFormed() : value)

/** What a call costs, by the book in force now. */
export type Rate = (call: Facts) => Rated

export async function readLines(
  text: string,
  batch_id: string,
  keepEvents: boolean,
  rate: Rate,
): Promise<BatchRows> {
  const rows: BatchRows = {
    calls: [],
    callRows: [],
    events: [],
    payloads: [],
    intents: [],
    definitions: [],
    listed: [],
    dead: [],
    first_ts: 0,
    last_ts: 0,
    unknownFields: 0,
    unknownNames: [],
  }
  const onUnknown = (name: string): void => {
    rows.unknownFields++
    if (rows.unknownNames.length < 10 && !rows.unknownNames.includes(name))
      rows.unknownNames.push(name.slice(0, 60))
  }
  // Asked once for the whole batch: hardly any has one.
  const reading: Reading = { batch_id, keepEvents, rate, onUnknown, hasSurrogates: SURROGATE.test(text) }
  let slice_end = SLICE
  for (let start = 0, row_no = 0; start < text.length; row_no++) {
    let end = text.indexOf('\n', start)
    if (end < 0) end = text.length
    const line = text.slice(start, end)
    start = end + 1
    if (line !== '') readLine(line, row_no, rows, reading)
    if (start > slice_end) {
      slice_end = start + SLICE
      await nextTurn()
    }
  }
  return rows
}

type Reading = {
  batch_id: string
  keepEvents: boolean
  rate: Rate
  onUnknown: (name: string) => void
  hasSurrogates: boolean
}

function readLine(line: string, row_no: number, rows: BatchRows, reading: Reading): void {
  const { batch_id } = reading
  try {
    const value = parse(line, reading.hasSurrogates && SURROGATE.test(line))
    if ('intent' in value) {
      rows.intents.push(JSON.stringify(readIntent(value, batch_id)))
      return
    }
    if ('definition' in value) {
      rows.definitions.push(JSON.stringify(readDefinition(value)))
      return
    }
    if ('list' in value) {
      for (const row of readList(value)) rows.listed.push(JSON.stringify(row))
      return
    }
    const row = readEvent(value, reading.onUnknown)
    const { cost_nano, price_id, cost_source } = reading.rate(factsOf(row))
    row.push(cost_nano, price_id, cost_source, batch_id)
    rows.calls.push(JSON.stringify(row))
    rows.callRows.push(row_no)
    const event = value as CallEvent
    if (reading.keepEvents) rows.events.push(event)
    for (const payload of payloadRows(event, batch_id)) rows.payloads.push(JSON.stringify(payload))
    if (rows.first_ts === 0 || event.ts < rows.first_ts) rows.first_ts = event.ts
    if (event.ts > rows.last_ts) rows.last_ts = event.ts
  } catch (error) {
    if (!(error instanceof RowError)) throw error
    rows.dead.push({
      row_no,
      reason: error.reason,
      error: error.message,
      body: line.slice(0, DEAD_BODY_MAX).toWellFormed(),
    })
  }
}

function parse(line: string, isMended: boolean): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(line, isMended ? wellFormed : undefined)
  } catch {
    throw new RowError('not_json', 'the line is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RowError('not_json', 'the line is not an object')
  return value as Record<string, unknown>
}
