/** Servers as their calls show them: health, what they speak, how long they take. */
import type { Reader } from './client.ts'
import { bound, type Scope } from './scope.ts'

export type ServerRow = {
  server: string
  /** See v_servers for what makes a state. */
  state: 'fine' | 'failing' | 'down'
  calls: number
  failed: number
  /** Failures the server or its capacity owns. */
  server_faults: number
  p50_upstream_us: number
  p95_upstream_us: number
  overhead_p50_us: number
  protocol_versions: string[]
  client_eras: string[]
  transports: string[]
  endpoints: string[]
  clients: string[]
  sessions: number
  tools: number
  last_seen: string
  last_ok: string
  last_fault: string
  last_fault_message: string
  last_fault_trace: string
}

export const sql = `SELECT server, state, calls, failed, server_faults, p50_upstream_us, p95_upstream_us, overhead_p50_us, protocol_versions, client_eras, transports,
  endpoints, clients, sessions, tools, toString(last_seen) AS last_seen, if(last_ok = 0, '', toString(last_ok)) AS last_ok,
  if(last_fault = 0, '', toString(last_fault)) AS last_fault, last_fault_message, last_fault_trace
FROM v_servers(from_us = {from_us:Int64}, to_us = {to_us:Int64}) AS v
WHERE ({server:String} = '' OR v.server = {server:String})
ORDER BY state = 'down' DESC, state = 'failing' DESC, calls DESC, server LIMIT {limit:UInt32}`

export const run = (reader: Reader, scope: Scope, limit = 500): Promise<ServerRow[]> => {
  const { from_us, to_us, server } = bound(scope)
  return reader.rows<ServerRow>(sql, { from_us, to_us, server, limit })
}
