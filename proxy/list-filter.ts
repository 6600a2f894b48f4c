/**
 * Answers to lists without what their caller may not use. Nothing else of an answer changes: entries that stay keep their bytes, and an
 * answer that hides nothing is the same text. Fails closed: what cannot be read is not shown. Knows no transport.
 */
import type { Call } from './call.ts'
import { WeirError } from './errors.ts'
import { ENTRIES, type Gate } from './gate.ts'
import { isRecord } from './mcp/json.ts'
import { elements, locate, replaceAt } from './mcp/splice.ts'

/** Without one of these words, or a way to write them otherwise, there is no list in a text. */
const MAY_LIST = /"(?:tools|prompts|resources|resourceTemplates)"|\\u/

/** A message of a server as its client may see it. Throws upstream_protocol for what cannot be read. */
export function shownOf(gate: Gate, call: Call, server: string, json: string): string {
  if (!MAY_LIST.test(json)) return json
  let message: unknown
  try {
    message = JSON.parse(json)
  } catch (error) {
    throw new WeirError('upstream_protocol', 'a list that is not valid JSON is not shown', { cause: error })
  }
  // Servers of MCP 2025-03-26 may put several messages into one text.
  if (Array.isArray(message))
    return JSON.stringify(message.map((one) => JSON.parse(shownOf(gate, call, server, JSON.stringify(one)))))
  if (!isRecord(message) || !isRecord(message.result)) return json
  let shown = json
  for (const [list] of ENTRIES) {
    const entries = message.result[list]
    if (!Array.isArray(entries)) continue
    const kept = entries.map((entry) => gate.shows(call, server, list, entry))
    if (kept.includes(false)) shown = without(shown, list, kept)
  }
  return shown
}

function without(json: string, list: string, kept: readonly boolean[]): string {
  const span = locate(json, ['result', list])
  const spans = span && elements(json, span)
  if (!spans || spans.length !== kept.length)
    throw new WeirError('upstream_protocol', 'a list that cannot be read is not shown')
  const texts = spans.filter((_, i) => kept[i]).map(({ start, end }) => json.slice(start, end))
  return replaceAt(json, span, `[${texts.join(',')}]`)
}

/** News that names a resource, or tells that a server has some; JSON lets a slash be written with a backslash. */
const NEWS = /resources\\?\/updated|list_changed|\\u/

/** Whether a message of a server may be heard: not of a resource that the caller may not use, nor of a server it may not. */
export function mayHear(gate: Gate, call: Call, server: string, json: string): boolean {
  if (!NEWS.test(json)) return true
  let message: unknown
  try {
    message = JSON.parse(json)
  } catch {
    return false
  }
  return (Array.isArray(message) ? message : [message]).every((one) => {
    const method = isRecord(one) ? one.method : null
    if (typeof method !== 'string') return true
    if (method.endsWith('/list_changed')) return gate.reaches(call.identity!, server)
    if (method !== 'notifications/resources/updated') return true
    const params = isRecord(one) && isRecord(one.params) ? one.params : {}
    return gate.mayHearOf(call, server, params.uri)
  })
}

/** The same of a list that was read already, for the answers that Weir puts together. */
export function shownEntries<R extends Record<string, unknown>>(
  gate: Gate,
  call: Call,
  server: string,
  result: R,
): R {
  let shown = result
  for (const [list] of ENTRIES) {
    const entries = result[list]
    if (Array.isArray(entries))
      shown = { ...shown, [list]: entries.filter((entry) => gate.shows(call, server, list, entry)) }
  }
  return shown
}
