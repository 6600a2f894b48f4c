/** Addresses as the config writes them, host:port. Apart from load.ts, so that a worker need not load YAML and zod (10 MB). */

export const hostOf = (listen: string): string =>
  listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '')
export const portOf = (listen: string): number => Number(listen.slice(listen.lastIndexOf(':') + 1))
/** Whether an address or host name stays on this machine. */
export const isLoopback = (host: string): boolean =>
  // Digits only: a name like 127.example.com belongs to whoever registered it.
  host.toLowerCase() === 'localhost' || host === '::1' || /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/i.test(host)
