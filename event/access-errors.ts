/** The rows of the error table about who may come in at all; event/error-table.ts takes them in. */
import type { ErrorSpec } from './error-table.ts'

export const ACCESS_ERRORS = {
  host_refused: {
    http: 403,
    rpc: 0,
    outcome: 'denied',
    owner: 'client',
    retry: 'no',
    text: 'This Host is not served here',
    fix: 'Use the listed address, or add the name to http.allowed_hosts',
  },
  origin_refused: {
    http: 403,
    rpc: 0,
    outcome: 'denied',
    owner: 'client',
    retry: 'no',
    text: 'This Origin may not call here',
    fix: 'Add it to http.allowed_origins',
  },
  unauthenticated: {
    http: 401,
    rpc: 0,
    outcome: 'denied',
    owner: 'client',
    retry: 'login',
    text: 'A valid key, access token or certificate is required',
    fix: 'Send Authorization: Bearer <key> with a key listed under callers, or a token of an authorization server of auth.oauth',
  },
  authorization_malformed: {
    http: 400,
    rpc: 0,
    outcome: 'denied',
    owner: 'client',
    retry: 'changed',
    text: 'The Authorization header is malformed',
    fix: 'Send one header, Authorization: Bearer <token>, with a token of at most 8 KB',
  },
  scope_missing: {
    http: 403,
    rpc: 0,
    outcome: 'denied',
    owner: 'client',
    retry: 'login',
    text: 'The access token lacks a scope',
    fix: 'Ask for a token with the scopes in WWW-Authenticate',
  },
  issuer_unavailable: {
    http: 503,
    rpc: 0,
    outcome: 'unavailable',
    owner: 'upstream',
    retry: 'after',
    text: 'The access token cannot be verified: its authorization server is away',
    fix: 'Try again later; check auth.oauth and the reason in the log',
  },
} as const satisfies Record<string, ErrorSpec>
