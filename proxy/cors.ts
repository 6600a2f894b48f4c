/**
 * What pages of an admitted Origin may send and read (CORS). An Origin is named back, never `*`, and credentials of the
 * browser (cookies) are never asked for: a page shows its API key itself. Whom to admit is the stage `admit`'s to say.
 * Source: WHATWG Fetch, section CORS protocol.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http'

const METHODS = 'GET, POST, DELETE'
const REQUEST_HEADERS = [
  'content-type',
  'accept',
  'authorization',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'mcp-session-id',
  'last-event-id',
  'traceparent',
  'tracestate',
  'baggage',
]
const EXPOSED = 'mcp-session-id, www-authenticate'
/** Browsers ask again at the latest after two hours, whatever is said. */
const MAX_AGE_S = '7200'
/** Headers named after arguments: which there are is the tools' to say. */
const PARAM = /^mcp-param-[a-z0-9!#$%&'*+.^_`|~-]+$/
/** Whether or not there is such a server: without a key nobody learns that. */
const PATH =
  /^(?:(?:\/servers\/[^/]+)?\/(?:mcp|sse|message)$|\/\.well-known\/oauth-protected-resource(?:\/|$))/

/** Lets pages of this Origin read the answer, whatever it will be. */
export function allowReading(res: ServerResponse, origin: string): void {
  res.setHeader('access-control-allow-origin', origin)
  res.setHeader('access-control-expose-headers', EXPOSED)
  res.setHeader('vary', 'Origin')
}

/** Whether a browser asks what it may send to a path of ours. */
export const isPreflight = (
  method: string | undefined,
  path: string,
  headers: IncomingHttpHeaders,
): boolean =>
  method === 'OPTIONS' &&
  headers.origin !== undefined &&
  headers['access-control-request-method'] !== undefined &&
  PATH.test(path)

/** What a preflight is answered with. `own`: further headers that clients may send here. */
export function preflightHeaders(asked: IncomingHttpHeaders, own: readonly string[]): OutgoingHttpHeaders {
  const params = (asked['access-control-request-headers'] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => PARAM.test(name))
  return {
    'access-control-allow-methods': METHODS,
    'access-control-allow-headers': [...REQUEST_HEADERS, ...own, ...params].join(', '),
    'access-control-max-age': MAX_AGE_S,
  }
}

/** Takes what a server says to browsers out of its headers (flat): towards pages only our own word counts. */
export function withoutCors(headers: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    const value = headers[i + 1]!
    if (name.startsWith('access-control-')) continue
    kept.push(
      name,
      name === 'vary' && !/(?:^|,)\s*(?:origin|\*)\s*(?:,|$)/i.test(value) ? `${value}, Origin` : value,
    )
  }
  return kept
}
