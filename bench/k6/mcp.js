// What every script here shares: the address, the key, one JSON-RPC message over HTTP, and telling a true result from an
// answered failure (HTTP 200 with isError is a failure). Read by k6, not by Node.
import http from 'k6/http'
import { check } from 'k6'
import { Counter } from 'k6/metrics'

/** Endpoint of one server or of all (/mcp). */
export const URL = __ENV.WEIR_URL || 'http://127.0.0.1:7332/servers/everything/mcp'
const KEY = __ENV.WEIR_KEY || ''
/** What stands before tool names: `everything_` under the roof (/mcp), nothing at the server's own path. */
export const PREFIX = __ENV.WEIR_TOOL_PREFIX !== undefined ? __ENV.WEIR_TOOL_PREFIX : /\/servers\//.test(URL) ? '' : 'everything_'
export const LEGACY = '2025-11-25'
export const MODERN = '2026-07-28'

export const failures = new Counter('mcp_failures')

/** Load of a script: users and time from the environment, so that a test can run it for two seconds. */
export const options = (thresholds) => ({
  vus: Number(__ENV.WEIR_VUS || 16),
  duration: __ENV.WEIR_DURATION || '30s',
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max'],
  thresholds: Object.assign({ checks: ['rate>0.99'], mcp_failures: ['count<1'] }, thresholds),
})

let nextId = 0
const idOf = () => __VU * 1000000 + nextId++

const headersOf = (more) =>
  Object.assign(
    { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' },
    KEY ? { Authorization: `Bearer ${KEY}` } : {},
    more,
  )

/** The messages of an answer, whether it came as JSON or as a stream. */
export function messagesOf(response) {
  const body = response.body || ''
  if (!/text\/event-stream/.test(response.headers['Content-Type'] || '')) {
    try {
      return body === '' ? [] : [JSON.parse(body)]
    } catch (_) {
      return []
    }
  }
  return body
    .split(/\r?\n\r?\n/)
    .map((frame) =>
      frame
        .split(/\r?\n/)
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice(5).trim())
        .join('\n'),
    )
    .filter((data) => data !== '')
    .map((data) => JSON.parse(data))
}

/** Sends one request; returns `{ response, messages, result }`, result null when it failed in any way. */
export function call(method, params, { headers = {}, name = method, expect = 'result' } = {}) {
  const id = idOf()
  const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
  const response = http.post(URL, body, { headers: headersOf(headers), tags: { name }, timeout: '60s' })
  const messages = messagesOf(response)
  const answer = messages.find((m) => m.id === id && m.method === undefined)
  const isTrue = !!answer && answer.result !== undefined && answer.result.isError !== true
  const isGood = expect === 'result' ? isTrue : !!answer && !isTrue
  check(response, { [`${name}: ${expect}`]: () => isGood }, { name })
  if (!isGood) {
    failures.add(1, { name })
    if (__ENV.WEIR_VERBOSE) console.error(`${name}: HTTP ${response.status} ${String(response.body).slice(0, 300)}`)
  }
  return { response, messages, result: isTrue ? answer.result : null }
}

export function notify(method, headers) {
  const response = http.post(URL, JSON.stringify({ jsonrpc: '2.0', method }), { headers: headersOf(headers), tags: { name: method } })
  check(response, { [`${method}: taken`]: (r) => r.status === 202 || r.status === 200 })
}

/** Opens a legacy session; returns the headers that every further request carries. */
export function openSession() {
  const { response, result } = call(
    'initialize',
    { protocolVersion: LEGACY, capabilities: {}, clientInfo: { name: 'k6', version: '1' } },
    { headers: { 'MCP-Protocol-Version': LEGACY } },
  )
  if (!result) return null
  const session = response.headers['Mcp-Session-Id']
  const headers = Object.assign({ 'MCP-Protocol-Version': result.protocolVersion }, session ? { 'Mcp-Session-Id': session } : {})
  notify('notifications/initialized', headers)
  return headers
}

export function endSession(headers) {
  const response = http.del(URL, null, { headers: headersOf(headers), tags: { name: 'DELETE session' } })
  // A server that does not let clients end sessions answers 405.
  check(response, { 'DELETE session: taken': (r) => [200, 202, 204, 405].includes(r.status) })
}
