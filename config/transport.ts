/** How Weir reaches a server, told by its config. Apart from load.ts, so that a worker need not load YAML and zod. */
import type { ServerConfig } from './schema.ts'

/** As the event names it. `http`: streamable HTTP; `sse`: HTTP+SSE of 2024-11-05. */
export type UpstreamTransport = 'http' | 'stdio' | 'sse' | 'websocket'

export const isWebSocketUrl = (url: string): boolean => /^wss?:/i.test(url)

export const transportOf = ({
  url,
  transport,
}: Pick<ServerConfig, 'url' | 'transport'>): UpstreamTransport =>
  url === undefined ? 'stdio' : (transport ?? (isWebSocketUrl(url) ? 'websocket' : 'http'))

/** Processes and servers at the other end of one long connection are kept by the host; workers speak HTTP with it. */
export const isHosted = (server: Pick<ServerConfig, 'url' | 'transport'>): boolean =>
  transportOf(server) !== 'http'

/** A URL without credentials and query, as it may be recorded. */
export const publicUrl = (url: string): string => {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

/** Weir's own headers towards a server, names in lower case: its credentials first, then what the config adds. */
export function ownHeaders(
  server: Pick<ServerConfig, 'url' | 'headers' | 'credentials'>,
): readonly (readonly [string, string])[] {
  const { url, credentials, headers } = server
  const { username, password } = new URL(url ?? 'http://localhost')
  const found: [string, string][] = []
  if (credentials.bearer) found.push(['authorization', `Bearer ${credentials.bearer}`])
  else if (username)
    found.push([
      'authorization',
      `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`,
    ])
  for (const [name, value] of Object.entries(headers)) found.push([name.toLowerCase(), value])
  return found
}
