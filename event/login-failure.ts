/** Why somebody who came back from an issuer is not let in to the console: words in addresses, logs and metrics. */
export const LOGIN_FAILURES = [
  /** The issuer does not answer. */
  'issuer_unavailable',
  /** The issuer did not let the person in, or the person did not want to. */
  'login_refused',
  /** What the issuer answered does not fit what was asked. */
  'login_invalid',
  /** It took too long, was begun in another browser, or was used already. */
  'login_expired',
  /** The issuer does not know the console as it is configured. */
  'client_refused',
  /** weir.yaml knows no such caller. */
  'user_unknown',
  /** weir.yaml does not let this caller in. */
  'user_not_allowed',
] as const

export type LoginFailure = (typeof LOGIN_FAILURES)[number]
