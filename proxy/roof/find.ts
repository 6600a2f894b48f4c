/** Whose a name or a resource is, when nobody listed it in this worker yet: the servers' own lists tell. */
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import { ask } from '../upstream/ask.ts'
import type { RelaySurroundings } from '../upstream/relay-surroundings.ts'
import { mergeEntries } from './merge.ts'
import type { Names, Resources } from './names.ts'
import { noResource, ownerFor } from './reach.ts'
import { memberHeaders, type RoofSession } from './session.ts'

/** Most pages of one list that are read to find a name. */
const LEARN_PAGES_MAX = 50
const URI_MAX_CHARS = 8192

/** Where what was learned goes. */
export type Learned = { readonly names: Names; readonly resources: Resources }
type Gated = Pick<RelaySurroundings, 'gate'>

/** Reads a server's list to the end, so that the names it holds are known here. */
export async function learn(
  learned: Learned,
  roof: RoofSession,
  server: string,
  method: string,
): Promise<void> {
  const member = await roof.member(server)
  let cursor: string | undefined
  for (let page = 0; page < LEARN_PAGES_MAX; page++) {
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 'weir-list',
      method,
      params: cursor === undefined ? {} : { cursor },
    })
    const answer = await ask(
      member.upstream,
      memberHeaders(member.upstream, roof.caller, member),
      body,
      member.upstream.config.list_timeout_ms,
    )
    const result = answer.message?.result as Record<string, unknown> | undefined
    if (!result) return
    mergeEntries(method, [{ server, result }], learned.names, learned.resources)
    if (typeof result.nextCursor !== 'string' || result.nextCursor === cursor) return
    cursor = result.nextCursor
  }
}

/** The server of a resource, for its caller. Throws resource_unknown, or params_invalid for a URI that is none. */
export async function resourceOwner(
  env: Gated,
  call: Call,
  learned: Learned,
  roof: RoofSession,
  uri: unknown,
): Promise<string> {
  if (typeof uri !== 'string' || uri.length > URI_MAX_CHARS)
    throw new WeirError('params_invalid', 'uri is not a text')
  const known = ownerFor(env, call, learned.resources.owner(uri), uri)
  if (known && roof.knows(known)) return known
  const members = (await roof.members()).filter((m) => 'resources' in m.capabilities)
  // Nobody listed it here yet: the lists tell.
  for (const method of ['resources/list', 'resources/templates/list'])
    await Promise.allSettled(
      members.map(async (m) => {
        const answer = await ask(
          m.upstream,
          memberHeaders(m.upstream, roof.caller, m),
          JSON.stringify({ jsonrpc: '2.0', id: 'weir-list', method }),
          m.upstream.config.list_timeout_ms,
        )
        const result = answer.message?.result as Record<string, unknown> | undefined
        if (result)
          mergeEntries(method, [{ server: m.upstream.name, result }], learned.names, learned.resources)
      }),
    )
  const found = learned.resources.owner(uri)
  const owner = ownerFor(env, call, found, uri) ?? (members.length === 1 ? members[0]!.upstream.name : null)
  if (!owner) throw noResource(env, call, found, uri)
  return owner
}
