/** What all ways in share: the current config as objects, and the headers of requests that come in through a worker's own socket. */
import type { Call } from '../call.ts'
import type { Route, Stages } from '../serve.ts'

/** Everything a listener needs of the current config; swapped whole on reload. */
export type Wiring = {
  readonly routes: ReadonlyMap<string, Route>
  /** By listener, in the order of the config: each has its own rules for pages and trace context. */
  readonly stages: readonly Stages[]
  readonly body_max_bytes: number
  /** Most messages of a batch. */
  readonly batch_max: number
  readonly streams_max: number
  readonly sessions_per_caller_max: number
  /** Headers that pages may send besides those of the protocol. */
  readonly page_headers: readonly string[]
  /** Servers of a request's endpoint that its caller may use something of. */
  reached(call: Call): readonly string[]
  /** Who makes tokens for a path of ours, as RFC 9728 has it; null where there is no such document. */
  resourceMetadata(call: Call): Record<string, unknown> | null
  /** Answers the paths that are not MCP; null when there is nothing at the path. */
  plain(path: string, isTrusted: boolean): Promise<{ status: number; type: string; body: string }> | null
}

/** Header by which one worker tells another whom it speaks for; only read on the socket between workers. */
export const HOP_PEER = 'weir-hop-peer'
/** By which transport its client speaks, when that is not HTTP; read there only too. */
export const HOP_TRANSPORT = 'weir-hop-transport'
/** Which certificate its client has proved to hold, '' for none; read there only too, and always set there. */
export const HOP_CERTIFICATE = 'weir-hop-certificate'
