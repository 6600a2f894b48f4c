/**
 * A change of the configuration as it is recorded: what the supervisor of an installation tells the collector. Values are JSON
 * texts without secrets: digests of keys are cut, and what may hold a secret is a fingerprint (`#` and hex digits).
 */
export type ConfigChange = {
  /** The same however often it is told. */
  readonly id: string
  /** When it was taken over, milliseconds since 1970. */
  readonly at_ms: number
  readonly instance: string
  /** Who wrote it, '' when the file was edited without Weir. */
  readonly who: string
  readonly via: ChangedVia
  /** `keys`, `callers`, `rules`, `limits`, `budgets`, `prices`, … */
  readonly section: string
  /** Of the entry: `caller#key`, the name of a rule, of a server, … */
  readonly name: string
  /** '' when it was not there. */
  readonly before: string
  /** '' when it is gone. */
  readonly after: string
}

/** command: `weir key`; admin_api; file: an editor or a deployment; start: the file had changed while Weir was not running. */
export const CHANGED_VIA = ['command', 'admin_api', 'file', 'start'] as const
export type ChangedVia = (typeof CHANGED_VIA)[number]

/** Longest value that is kept; of the rest its length is said. */
export const CHANGE_VALUE_MAX = 8_000
/** Most changes told at once. */
export const CHANGES_MAX = 2_000
export const CHANGES_PATH = '/v1/config-changes'
