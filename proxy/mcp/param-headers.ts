/**
 * `Mcp-Name` and `Mcp-Param-*`: header values that repeat a part of the body, and the `x-mcp-header` marks of a tool's
 * input schema that ask for them. Pure; knows nothing of requests or errors. A schema is compiled once and remembered.
 * Source: MCP 2026-07-28, basic/transports (standard and custom headers).
 */
import { isRecord } from './json.ts'

/** One argument a header must repeat. `header` is the lower-case name, prefix included. */
export type ParamHeader = { header: string; path: readonly string[]; numeric: boolean }

const NONE: readonly ParamHeader[] = []
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const SENTINEL_START = '=?base64?'
const SENTINEL_END = '?='
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const DECIMAL = /^-?\d+(\.\d+)?$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text a header value stands for; null when it carries the base64 sentinel around something that is not base64 of UTF-8. */
export function decodeHeaderValue(value: string): string | null {
  if (!value.startsWith(SENTINEL_START) || !value.endsWith(SENTINEL_END)) return value
  if (value.length < SENTINEL_START.length + SENTINEL_END.length) return value
  const payload = value.slice(SENTINEL_START.length, -SENTINEL_END.length)
  if (!BASE64.test(payload)) return null
  try {
    return utf8.decode(Buffer.from(payload, 'base64'))
  } catch {
    return null
  }
}

/** A text as a header value: plain when it is plain ASCII, else base64 in the sentinel. */
export function encodeHeaderValue(text: string): string {
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text)
  const looksEncoded = text.startsWith(SENTINEL_START) && text.endsWith(SENTINEL_END)
  return isPlain && !looksEncoded
    ? text
    : `${SENTINEL_START}${Buffer.from(text).toString('base64')}${SENTINEL_END}`
}

const compiled = new WeakMap<object, readonly ParamHeader[]>()

/** The marked arguments of an input schema. Marks that break the rules (name, type, used twice) ask for nothing. */
export function paramHeadersOf(inputSchema: unknown): readonly ParamHeader[] {
  if (!isRecord(inputSchema)) return NONE
  const known = compiled.get(inputSchema)
  if (known) return known
  const found: ParamHeader[] = []
  collect(inputSchema, [], found, 0)
  const result = found.length === 0 ? NONE : found
  compiled.set(inputSchema, result)
  return result
}

// Schemas come from servers: the depth is bounded, and only chains of `properties` count.
const DEPTH_MAX = 32

function collect(
  schema: Record<string, unknown>,
  path: readonly string[],
  found: ParamHeader[],
  depth: number,
): void {
  if (depth > DEPTH_MAX || !isRecord(schema.properties)) return
  for (const key of Object.keys(schema.properties)) {
    const property = schema.properties[key]
    if (!isRecord(property)) continue
    const here = [...path, key]
    const name = property['x-mcp-header']
    const type = property.type
    const numeric = type === 'integer' || type === 'number'
    if (
      typeof name === 'string' &&
      TOKEN.test(name) &&
      (numeric || type === 'string' || type === 'boolean')
    ) {
      const header = `mcp-param-${name.toLowerCase()}`
      if (!found.some((f) => f.header === header)) found.push({ header, path: here, numeric })
    }
    collect(property, here, found, depth + 1)
  }
}

/** The argument a header must repeat; null for one that asks for no header: absent, null, an object, an unsafe integer. */
function argumentOf({ path }: ParamHeader, args: unknown): string | number | boolean | null {
  let value = args
  for (const key of path) {
    if (!isRecord(value) || !Object.hasOwn(value, key)) return null
    value = value[key]
  }
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value !== 'number' || !Number.isFinite(value)) return null
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? null : value
}

/** The headers a client must send along with these arguments: name and value. */
export const paramHeaderValues = (params: readonly ParamHeader[], args: unknown): [string, string][] =>
  params.flatMap((param): [string, string][] => {
    const value = argumentOf(param, args)
    return value === null ? [] : [[param.header, encodeHeaderValue(String(value))]]
  })

/** What is wrong between one argument and its header; null when they agree or the argument asks for no header. */
export type ParamProblem = 'missing' | 'undecodable' | 'different' | null

/** Compares the header with the argument. Absent and null arguments, objects and unsafe integers ask for no header. */
export function paramProblem(
  param: ParamHeader,
  args: unknown,
  headerValue: string | undefined,
): ParamProblem {
  const value = argumentOf(param, args)
  if (value === null) return null
  if (headerValue === undefined) return 'missing'
  const decoded = decodeHeaderValue(headerValue)
  if (decoded === null) return 'undecodable'
  if (param.numeric && typeof value === 'number' && DECIMAL.test(decoded))
    return Number(decoded) === value ? null : 'different'
  return decoded === String(value) ? null : 'different'
}
