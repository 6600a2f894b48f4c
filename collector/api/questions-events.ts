/** Questions about single events: audit and search, one event whole, the trace it belongs to. */
import * as calls from '../queries/calls.ts'
import * as findTrace from '../queries/find-trace.ts'
import * as payloads from '../queries/payloads.ts'
import * as trace from '../queries/trace.ts'
import * as traceCalls from '../queries/trace-calls.ts'
import { ApiError } from './errors.ts'
import { type Asked, integerOf, oneOf, type Question, rangeOf } from './questions.ts'

const PAGE_MAX = 1_000
const WHOLE_MAX = 50_000

const malformed = (name: string, expected: string): ApiError =>
  new ApiError(400, 'parameter_malformed', `the parameter ${name} is not ${expected}`, `send ${expected}`)

/** `key=value;key=value` */
function pairsOf(asked: Asked, name: string): Record<string, string> {
  const text = asked[name] ?? ''
  if (text === '') return {}
  return Object.fromEntries(
    text.split(';').map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw malformed(name, 'pairs such as team=red;env=prod')
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

function filterOf(asked: Asked): calls.CallFilter {
  const columns = oneOf(asked, 'columns', ['shown', 'all'])
  const limit = integerOf(asked, 'limit', 100)
  const max = columns === 'all' ? WHOLE_MAX : PAGE_MAX
  if (limit < 1 || limit > max) throw malformed('limit', `a whole number from 1 to ${max}`)
  const before = asked.before ?? ''
  if (before && !calls.CURSOR.test(before)) throw malformed('before', 'the `next` of an answer')
  return {
    ...rangeOf(asked),
    fields: Object.fromEntries(calls.ASKABLE.flatMap((name) => (asked[name] ? [[name, asked[name]]] : []))),
    labels: pairsOf(asked, 'labels'),
    tags: pairsOf(asked, 'tags'),
    text: asked.text ?? '',
    min_us: integerOf(asked, 'min_ms', 0) * 1_000,
    before,
    limit,
    order: oneOf(asked, 'order', ['newest', 'slowest']),
    isWhole: columns === 'all',
  }
}

const traceIdOf = (asked: Asked): string => {
  const id = (asked.trace_id ?? '').toLowerCase()
  if (!/^[0-9a-f]{32}$/.test(id)) throw malformed('trace_id', '32 hex digits')
  return id
}

export const EVENT_QUESTIONS: Readonly<Record<string, Question>> = {
  calls: {
    about: 'Events one by one, newest first, by any field',
    params: [
      'from',
      'to',
      ...calls.ASKABLE,
      'labels',
      'tags',
      'text',
      'min_ms',
      'before',
      'limit',
      'order',
      'columns',
    ],
    run: (reader, asked) => calls.run(reader, filterOf(asked)),
  },
  trace: {
    about: 'All spans of a trace, the events behind them, and what was kept of arguments and results',
    params: ['trace_id'],
    async run(reader, asked) {
      const trace_id = traceIdOf(asked)
      const [spans, events, kept] = await Promise.all([
        trace.run(reader, { trace_id }),
        traceCalls.run(reader, { trace_id }),
        payloads.run(reader, { trace_id }),
      ])
      return { spans, calls: events, payloads: kept }
    },
  },
  find: {
    about: 'Traces by trace id, event id, session or run, whole or the beginning of one',
    params: ['id'],
    run(reader, asked) {
      const exact = (asked.id ?? '').trim()
      if (exact === '' || exact.length > 200) throw malformed('id', 'an id of at most 200 characters')
      const hex = exact.toLowerCase().replaceAll('-', '')
      return findTrace.run(reader, { exact, hex: /^[0-9a-f]{4,32}$/.test(hex) ? hex : '' })
    },
  },
}
