/** Addresses as the config writes them, host:port. Apart from load.ts, so that a worker need not load YAML and zod (10 MB). */

/** A host as one connects to it: a URL writes an IPv6 address in brackets. */
export const bareHost = (host: string): string => host.replace(/^\[|\]$/g, '')
export const hostOf = (listen: string): string => bareHost(listen.slice(0, listen.lastIndexOf(':')))
/** The same address with another port. */
export const withPort = (listen: string, port: number | string): string =>
  `${listen.slice(0, listen.lastIndexOf(':'))}:${port}`
/** A configured address with the port that was really taken; `at`: the URL that came of it, '' while none did. */
export const pinned = (listen: string, at = ''): string =>
  portOf(listen) === 0 && at ? withPort(listen, new URL(at).port) : listen
export const portOf = (listen: string): number => Number(listen.slice(listen.lastIndexOf(':') + 1))
/** Whether an address or host name stays on this machine. */
export const isLoopback = (host: string): boolean =>
  // Digits only: a name like 127.example.com belongs to whoever registered it.
  host.toLowerCase() === 'localhost' || host === '::1' || /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/i.test(host)
