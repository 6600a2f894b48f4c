/** Arguments and results against schemas: what the validate stage costs a call, once its schema is compiled. */

import { Definitions } from '../../proxy/definitions.ts'
import { Validators } from '../../proxy/schema/validators.ts'
import { Validation } from '../../proxy/stages/validate.ts'
import { Metrics } from '../../proxy/telemetry/metrics.ts'
import { newCall } from './fixtures.ts'
import { micro, report } from './measure.ts'

const SMALL = { type: 'object', properties: { message: { type: 'string' } } }
const TRANSFER = {
  type: 'object',
  properties: {
    to: { type: 'string', pattern: '^[A-Z]{2}[0-9]{2,30}$' },
    amount: { type: 'number', exclusiveMinimum: 0 },
    currency: { enum: ['EUR', 'CHF', 'USD'] },
    memo: { type: 'string', maxLength: 140 },
    lines: {
      type: 'array',
      items: { type: 'object', properties: { text: { type: 'string' } } },
      maxItems: 20,
    },
  },
  required: ['to', 'amount'],
  additionalProperties: false,
}
const good = {
  to: 'DE89370400440532013000',
  amount: 12.5,
  currency: 'EUR',
  memo: 'thanks',
  lines: Array.from({ length: 5 }, (_, i) => ({ text: `line ${i}` })),
}
const chars = JSON.stringify(good).length
const validators = new Validators()
const validator = validators.of('bank', 'transfer', TRANSFER)
micro('check of 200 bytes of arguments, 9 subschemas, one pattern', () => validator.check(good, chars))
micro('check that fails, and what is told of it', () => validator.check({ ...good, amount: '1' }, chars))

const definitions = new Definitions(() => Promise.reject(new Error('not asked')))
definitions.isWanted = true
const log = { debug() {}, info() {}, warn() {}, error() {} }
const stage = new Validation(
  { arguments: 'enforce', results: 'off', servers: ['*'] },
  { definitions, validators, metrics: new Metrics(), log },
).stage!
for (const era of ['legacy', 'modern'] as const) {
  const call = newCall(era, 0)
  call.method = 'tools/call'
  call.server = 'stub'
  call.tool = 'echo'
  call.message = JSON.parse(call.text || call.body.toString())
  call.upstream_protocol_version = era === 'modern' ? '2026-07-28' : '2025-11-25'
  call.identity = {
    caller: 'bench',
    team: '',
    project: '',
    principal: 'bench',
    auth_method: 'api_key',
    roles: [],
    scope: null,
    expires_ms: Number.POSITIVE_INFINITY,
    tags: null,
  }
  definitions.listed(call, 'stub', call.upstream_protocol_version, {
    result: { tools: [{ name: 'echo', inputSchema: SMALL }] },
  })
  micro(`validate stage, ${era}: the definition is known, the arguments fit`, () => stage.before(call), {
    stage: 'validate',
  })
}
let n = 0
micro('a new schema of 9 subschemas: prepared, judged, compiled', () =>
  new Validators().size === 0 ? validators.of(`s${++n}`, `h${n}`, { ...TRANSFER, title: String(n) }) : null,
)
report()
