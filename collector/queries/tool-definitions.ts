/** What servers say their tools are: the definition of each as listed last, and all versions of one. */
import type { Reader } from './client.ts'

type Definition = {
  server: string
  tool: string
  hash: string
  tokens: number
  bytes: number
  /** The server's hints, with the defaults of the protocol. */
  read_only: number
  destructive: number
  /** What the server said its version was, '' when unknown. */
  server_version: string
  first_seen: string
  last_seen: string
}
export type ToolDefinitionRow = Definition & {
  versions: number
  /** Since when it is defined like this. */
  since: string
}
export type ToolVersionRow = Definition & {
  /** Counts from 1, the oldest. */
  version: number
  /** Canonical JSON, masked and cut; '' when it is not kept. */
  definition: string
}

export const sql = `SELECT server, tool, hash, tokens, bytes, read_only, destructive, server_version, versions, first_seen, since, last_seen
FROM v_tool_definitions WHERE {server:String} = '' OR server = {server:String} ORDER BY server, tool LIMIT {limit:UInt32}`

export const versionsSql = `SELECT server, tool, hash, tokens, bytes, read_only, destructive, server_version, version, first_seen, last_seen, definition
FROM v_tool_versions WHERE server = {server:String} AND tool = {tool:String} ORDER BY version DESC LIMIT {limit:UInt32}`

/** The tools of one server, or of all. */
export const run = (
  reader: Reader,
  { server = '', limit = 10_000 }: { server?: string; limit?: number } = {},
): Promise<ToolDefinitionRow[]> => reader.rows<ToolDefinitionRow>(sql, { server, limit })

/** One tool from its newest definition to its oldest. */
export const versions = (
  reader: Reader,
  { server, tool, limit = 100 }: { server: string; tool: string; limit?: number },
): Promise<ToolVersionRow[]> => reader.rows<ToolVersionRow>(versionsSql, { server, tool, limit })
