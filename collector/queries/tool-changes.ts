/** Tools whose definition changed in a window, newest first. */
import { moment, type Reader } from './client.ts'

export type ToolChange = {
  ts: string
  server: string
  tool: string
  version: number
  hash: string
  hash_before: string
  tokens: number
  tokens_before: number
  definition: string
  definition_before: string
  server_version: string
}

export const sql = `SELECT ts, server, tool, version, hash, hash_before, tokens, tokens_before, definition, definition_before, server_version
FROM v_tool_changes
WHERE ts >= {from:DateTime64(3)} AND ts < {to:DateTime64(3)} AND ({server:String} = '' OR server = {server:String})
ORDER BY ts DESC, server, tool LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  {
    from_ms,
    to_ms,
    server = '',
    limit = 200,
  }: { from_ms: number; to_ms: number; server?: string; limit?: number },
): Promise<ToolChange[]> =>
  reader.rows<ToolChange>(sql, { from: moment(from_ms), to: moment(to_ms), server, limit })
