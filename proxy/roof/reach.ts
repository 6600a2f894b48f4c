/**
 * What of the servers under the roof a caller may see. A server it may use nothing of takes no part in anything merged, and its names
 * are answered as those of no server: before it is asked anything, so that the time tells nothing either.
 */
import type { ErrorCode } from '../../event/error-table.ts'
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import { record, recordOutOfReach } from '../gate.ts'
import { shownEntries } from '../list-filter.ts'
import type { RelaySurroundings } from '../upstream/relay-surroundings.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Heard } from './merge.ts'

type Gated = Pick<RelaySurroundings, 'gate'>

/** Whether a caller may use something of a server: what it cannot reach it neither hears nor tells, though a session is open. */
export const reaches = ({ gate }: Gated, call: Call, server: string): boolean =>
  gate === null || gate.reaches(call.identity!, server)

/** The servers a caller may use something of. */
export const reachable = (env: Gated, call: Call, upstreams: ReadonlyMap<string, Upstream>): Upstream[] =>
  [...upstreams.values()].filter(({ name }) => reaches(env, call, name))

/** Throws what an unknown name gives when the caller may use nothing of its server. */
export function mustReach(env: Gated, call: Call, server: string): void {
  if (reaches(env, call, server)) return
  recordOutOfReach(call, server, -32602)
  const { method } = call
  const isPrompt = method === 'prompts/get' || (method === 'completion/complete' && call.exposed_name !== '')
  const code: ErrorCode =
    method === 'tools/call' ? 'tool_unknown' : isPrompt ? 'prompt_unknown' : 'resource_unknown'
  throw new WeirError(code)
}

/** What servers answered to a list, without what the caller may not use. */
export const shownTo = ({ gate }: Gated, call: Call, heard: readonly Heard[]): readonly Heard[] =>
  gate === null
    ? heard
    : heard.map(({ server, result }) => ({
        server,
        result: gate.isFree(call.identity!, server) ? result : shownEntries(gate, call, server, result),
      }))

/**
 * The server that has a resource, as far as the caller may know: what is forbidden has none, and takes the way of what is unknown.
 * `owner`: the server that listed it to anybody.
 */
export function ownerFor({ gate }: Gated, call: Call, owner: string | null, uri: unknown): string | null {
  if (gate === null || owner === null) return owner
  return gate.judgeResource(call, owner, uri).verdict === 'allow' ? owner : null
}

/** What an unknown resource gives; on the record is why it is none for the caller. */
export function noResource({ gate }: Gated, call: Call, owner: string | null, uri: unknown): WeirError {
  // A listen stream goes on without it.
  if (gate !== null && owner !== null && call.method !== 'subscriptions/listen') {
    call.server = owner
    record(call, gate.judgeResource(call, owner, uri))
  }
  return new WeirError('resource_unknown')
}
