/** The kinds of values settings have, and what each tells its reader besides its type. */
import { z } from 'zod'

/** What a leaf tells its reader besides its type. */
export type ConfigMeta = {
  description: string
  unit?: string
  reload?: boolean
  since: string
  example?: unknown
}

/** A day, or a moment of one. */
export const moment = z.union([z.iso.date(), z.iso.datetime({ offset: true })])

export const restart = { reload: false } as const
export const meta = (
  description: string,
  more: Omit<ConfigMeta, 'description' | 'since'> = {},
): ConfigMeta => ({
  description,
  since: '0.1',
  reload: true,
  ...more,
})

export const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'expected host:port, for example 127.0.0.1:7332')
  .refine(
    (a) => !/:\d{1,5}$/.test(a) || Number(a.slice(a.lastIndexOf(':') + 1)) <= 65535,
    'the port is above 65535, for example 127.0.0.1:7332',
  )
export const httpUrl = z.string().refine((u) => {
  try {
    const { protocol, username, password } = new URL(u)
    decodeURIComponent(username + password)
    return ['http:', 'https:'].includes(protocol)
  } catch {
    return false
  }
}, 'expected an http:// or https:// URL, for example https://example.com/mcp')
/** Where an MCP server may be. */
export const serverUrl = z.string().refine((u) => {
  try {
    const { protocol, username, password } = new URL(u)
    decodeURIComponent(username + password)
    return ['http:', 'https:', 'ws:', 'wss:'].includes(protocol)
  } catch {
    return false
  }
}, 'expected an http://, https://, ws:// or wss:// URL, for example https://example.com/mcp')
export const ms = (fallback: number, description: string, more = {}): z.ZodDefault<z.ZodNumber> =>
  z
    .number()
    .int()
    .min(1)
    .max(86_400_000)
    .default(fallback)
    .meta(meta(description, { unit: 'ms', ...more }))
export const byteCount = (
  fallback: number,
  min: number,
  description: string,
  more = {},
): z.ZodDefault<z.ZodNumber> =>
  z
    .number()
    .int()
    .min(min)
    .default(fallback)
    .meta(meta(description, { unit: 'bytes', ...more }))

/** What a caller or a team may be called: names are shown, compared and put into keys of counts. */
export const plainName = z
  .string()
  .regex(
    /^(?!\s)[^\p{Cc}]{1,100}(?<!\s)$/u,
    'expected a name of up to 100 characters on one line, without space around it, for example rm-agent',
  )
