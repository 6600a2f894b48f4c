/** What one row of the error table says. Knows no error by name. */
import type { Outcome, Owner } from './fields.ts'

export type ErrorSpec = {
  /** HTTP status while nothing of the answer has been sent. */
  readonly http: number
  /** JSON-RPC code; 0 = answered by HTTP status alone. */
  readonly rpc: number
  readonly outcome: Outcome
  readonly owner: Owner
  readonly retry: 'no' | 'after' | 'changed' | 'idempotent' | 'login'
  /** What the client may read. Private detail goes only to log and event. */
  readonly text: string
  /** What to do about it. */
  readonly fix: string
}
