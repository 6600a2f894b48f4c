/** Settings of the admin API: where it listens and who may use it. Off while `admin.listen` is not set. */
import { z } from 'zod'
import { hostOf, isLoopback } from './address.ts'
import { adminToken } from './caller-keys.ts'
import { address, meta, restart } from './leaves.ts'
import { listenerTls } from './tls.ts'

export const admin = z
  .strictObject({
    listen: address.optional().meta(
      meta('Where the admin API is served; not set: there is none', {
        ...restart,
        example: '127.0.0.1:7335',
      }),
    ),
    tls: listenerTls
      .optional()
      .meta(
        meta(
          'TLS of the admin API; turning it on or off needs a restart, its files are read again when they change',
        ),
      ),
    tokens: z
      .array(adminToken)
      .default([])
      .meta(meta('Who may use it: `weir key create --admin <name>` makes one')),
    open_on_loopback: z
      .boolean()
      .default(false)
      .meta(meta('Every program on this machine may use it without a token; loopback listeners only')),
    allowed_hosts: z
      .array(z.string())
      .default([])
      .meta(meta('Host names it may be called by, besides localhost and the address itself')),
  })
  .prefault({})
  .meta(meta('The admin API'))

export type AdminConfig = z.output<typeof admin>
type Add = (path: PropertyKey[], message: string, fix: string) => void

/** What one setting alone cannot tell: nobody is let in by accident. Returns warnings; problems go to `add`. */
export function checkAdmin(
  { admin: { listen, tls, tokens, open_on_loopback } }: { admin: AdminConfig },
  add: Add,
): string[] {
  const names = new Map<string, number>()
  const digests = new Map<string, string>()
  tokens.forEach(({ name, sha256 }, i) => {
    if (names.has(name))
      add(['admin', 'tokens', i, 'name'], `there is another token ${name}`, 'give each its own name')
    names.set(name, i)
    const other = digests.get(sha256)
    if (other !== undefined)
      add(
        ['admin', 'tokens', i, 'sha256'],
        `the same token already belongs to ${other}`,
        'give each a token of its own',
      )
    digests.set(sha256, name)
  })
  if (tls?.client_auth === 'optional')
    add(
      ['admin', 'tls', 'client_auth'],
      'optional lets in whoever shows no certificate, and the admin API knows nobody by one',
      'write client_auth: required, or leave it out',
    )
  if (listen === undefined) return []
  const isLocal = isLoopback(hostOf(listen))
  if (open_on_loopback && !isLocal)
    add(
      ['admin', 'open_on_loopback'],
      `${listen} is not on this machine alone`,
      'leave it out, or listen on 127.0.0.1',
    )
  else if (tokens.length === 0 && !open_on_loopback)
    add(
      ['admin', 'listen'],
      'nobody may use the admin API: there are no `admin.tokens`',
      isLocal
        ? 'make one with `weir key create --admin <name>`, or set admin.open_on_loopback: true'
        : 'make one with `weir key create --admin <name>`',
    )
  return isLocal || tls
    ? []
    : [
        `admin.listen ${listen} is beyond this machine and without TLS: admin tokens travel in the clear, and whoever reads one on the way can change who may call. Set admin.tls, or listen on 127.0.0.1 behind a proxy with TLS`,
      ]
}
