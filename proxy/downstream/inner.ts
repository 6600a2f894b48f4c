/**
 * The way of other transports, and of the messages of a batch, into this worker: its own Unix socket, where each message is an HTTP request like any other.
 * Carries the headers (credentials, labels) that the client showed when it connected, and who and how it is.
 */
import { type OutgoingHttpHeaders, request } from 'node:http'
import type { Call } from '../call.ts'
import { hopText } from '../identity/certificate.ts'
import type { Endpoint } from '../mcp/streamable-client.ts'
import { HOP_LISTENER } from '../options.ts'
import { HOP_CERTIFICATE, HOP_PEER, HOP_TRANSPORT } from './wiring.ts'

/** Headers of the first request that belong to it alone. */
const OF_ITS_OWN =
  /^(?:connection|upgrade|expect|sec-websocket-.*|content-.*|transfer-encoding|accept|cache-control|last-event-id|mcp-session-id|mcp-protocol-version)$/

export type InnerEndpoint = Endpoint & {
  /** From now on messages go with the credentials that this request shows: tokens are renewed while a stream is open. */
  renew(call: Call): void
}

/** `first`: the request that the client began with, or the one that holds its messages. */
export function innerEndpoint(
  first: Call,
  path: string,
  socketPath: string,
  transport: string,
  /** Of the headers that belong to the first request alone, those that hold for its messages too. */
  more: OutgoingHttpHeaders = {},
): InnerEndpoint {
  const kept = Object.entries(first.req.headers).filter(([name]) => !OF_ITS_OWN.test(name))
  const own: OutgoingHttpHeaders = {
    ...Object.fromEntries(kept),
    [HOP_PEER]: first.peer_address,
    [HOP_TRANSPORT]: transport,
    [HOP_LISTENER]: first.listener,
    [HOP_CERTIFICATE]: hopText(first.certificate),
    ...more,
  }
  return {
    name: 'Weir',
    request: (method, headers) => request({ socketPath, path, method, headers: { ...own, ...headers } }),
    renew({ req, certificate }) {
      if (req.headers.authorization !== undefined) own.authorization = req.headers.authorization
      own[HOP_CERTIFICATE] = hopText(certificate)
    },
  }
}
