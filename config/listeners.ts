/**
 * Where clients connect: one address, or a list whose entries are addresses or addresses with rules of their own. Whatever
 * was written, the config holds a list. Invariant: the list is not empty, and its order is that of the file.
 */
import { z } from 'zod'
import { address, meta, restart } from './leaves.ts'
import { listenerTls } from './tls.ts'

/** What a client's trace context may become. */
export const INCOMING = ['parent', 'link', 'ignore'] as const
export const LISTENERS_MAX = 16
/** How several look in the file. */
export const LISTENERS = '[ 127.0.0.1:7332, { address: 10.0.0.5:7332, trace: { incoming: link } } ]'

const listener = z.strictObject({
  address: address.meta(meta('Address, host:port', restart)),
  trace: z
    .strictObject({
      incoming: z
        .enum(INCOMING)
        .optional()
        .meta(meta("What a client's trace context becomes at this listener; default: `trace.incoming`")),
    })
    .prefault({})
    .meta(meta('Trace context at this listener')),
  tls: listenerTls
    .optional()
    .meta(
      meta(
        'TLS at this listener; turning it on or off needs a restart, its files are read again when they change',
      ),
    ),
})

export const listenerEntry = z.union(
  [address, listener],
  'expected host:port, or a mapping with `address`, for example 127.0.0.1:7332',
)

export type Listener = z.output<typeof listener>

/** What was written, as a list. */
export const listenersOf = (written: string | readonly (string | Listener)[]): Listener[] =>
  (typeof written === 'string' ? [written] : written).map((one) =>
    typeof one === 'string' ? { address: one, trace: {} } : one,
  )
