/** Settings of the admin API: where it listens and who may use it. Off while `admin.listen` is not set. */
import { z } from 'zod'
import { hostOf, isLoopback } from './address.ts'
import { adminToken } from './caller-keys.ts'
import { address, meta, restart } from './leaves.ts'

export const admin = z
  .strictObject({
    listen: address.optional().meta(
      meta('Where the admin API is served; not set: there is none', {
        ...restart,
        example: '127.0.0.1:7335',
      }),
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

/** What one setting alone cannot tell: nobody is let in by accident. */
export function checkAdmin(
  { admin: { listen, tokens, open_on_loopback } }: { admin: AdminConfig },
  add: Add,
): void {
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
  if (listen === undefined) return
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
}
