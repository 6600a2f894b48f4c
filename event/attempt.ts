/** One upstream message of a call: what event/fields.ts calls upstream_attempts is a list of these. */

/** One upstream message of a call that needed more than one. */
export type Attempt = {
  server: string
  endpoint: string
  transport: string
  span_id: string
  start_us: number
  duration_us: number
  outcome: string
  error_type: string
}
