/**
 * What a client that may not come in is told about where to get a token: the resource it asked for, the challenge of a 401, 403
 * or 400, and the metadata document. Pure. Source: RFC 9728, RFC 6750 (section 3), MCP authorization.
 */
import type { Auth } from '../../config/oauth.ts'
import type { ScopePolicy } from './scopes.ts'

export const WELL_KNOWN = '/.well-known/oauth-protected-resource'
/** Whether or not there is such a server: without credentials nobody learns that. */
const ENDPOINT = /^(?:\/servers\/([A-Za-z0-9-]{1,40}))?\/(mcp|sse|message)$/
const HOST = /^[A-Za-z0-9._-]+(?::\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](?::\d{1,5})?$/

export type Resource = {
  /** Scheme and host, without a slash at the end. */
  readonly base: string
  /** Path of the endpoint, '' for all of Weir. */
  readonly path: string
  /** Server of the endpoint, '' for others. */
  readonly server: string
}

/** What a request is for. `host`: the header, which the stage `admit` let pass. */
export function resourceOf(url: string, host: string | undefined, origin: Origin): Resource {
  const match = ENDPOINT.exec(url.split('?', 1)[0]!)
  const path = match ? match[0]!.replace(/message$/, 'sse') : ''
  return { base: baseOf(host, origin), path, server: match?.[1] ?? '' }
}

export type Origin = {
  readonly public_url: string | undefined
  readonly isTls: boolean
  readonly address: string
}

const baseOf = (host: string | undefined, { public_url, isTls, address }: Origin): string =>
  public_url ?? `${isTls ? 'https' : 'http'}://${host !== undefined && HOST.test(host) ? host : address}`

/** The audiences that are Weir at this resource: all of it, or the endpoint, by whichever transport. */
export const ownAudiences = ({ base, path }: Resource): string[] =>
  path === ''
    ? [base]
    : [base, base + path, base + path.replace(/(?:sse|mcp)$/, path.endsWith('sse') ? 'mcp' : 'sse')]

/** `error` is null when no credentials were shown. */
export type Refusal = {
  readonly error: 'invalid_request' | 'invalid_token' | 'insufficient_scope' | null
  readonly description: string
  readonly scopes: readonly string[]
}

/** Value of WWW-Authenticate. Descriptions are ours: no quote, no backslash. */
export function challenge({ base, path }: Resource, { error, description, scopes }: Refusal): string {
  const fields: [string, string][] = [['realm', 'weir']]
  if (error) fields.push(['error', error], ['error_description', description])
  fields.push(['resource_metadata', `${base}${WELL_KNOWN}${path}`])
  if (scopes.length > 0) fields.push(['scope', scopes.join(' ')])
  return `Bearer ${fields.map(([name, value]) => `${name}="${value}"`).join(', ')}`
}

/** The scopes with which a client can begin: those of any request, and of the server it asks for. */
export const firstScopes = (policy: ScopePolicy, { server }: Resource): readonly string[] =>
  server === '' ? policy.base : policy.needed(server, '')

/** The metadata document at a path, null when there is none. */
export function resourceMetadata(
  url: string,
  host: string | undefined,
  origin: Origin,
  auth: Pick<Auth, 'oauth'>,
  policy: ScopePolicy,
): Record<string, unknown> | null {
  const path = url.split('?', 1)[0]!
  if (!path.startsWith(WELL_KNOWN)) return null
  const at = path.slice(WELL_KNOWN.length)
  const resource = resourceOf(at, host, origin)
  if (at !== resource.path && at !== '') return null
  const scopes = firstScopes(policy, resource)
  return {
    resource: resource.base + resource.path,
    authorization_servers: auth.oauth.map(({ issuer }) => issuer),
    ...(scopes.length > 0 ? { scopes_supported: scopes } : {}),
    bearer_methods_supported: ['header'],
    resource_name: 'Weir',
  }
}
