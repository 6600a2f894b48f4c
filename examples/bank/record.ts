/** What Weir recorded of the agents' tool calls, once all of it has arrived in the store. */

export type Recorded = {
  caller: string
  tool: string
  outcome: string
  decision: string
  decision_rule: string
  decision_reason: string
  shadow: string[]
}
type Reader = { rows<R>(sql: string, params: Record<string, unknown>): Promise<R[]> }

const WAIT_MAX_MS = 20_000

/** Oldest first. Waits until no more comes. */
export async function recordOf(reader: Reader, since_ms: number): Promise<Recorded[]> {
  const sql = `SELECT caller, if(tool = '', exposed_name, concat(server, '/', tool)) AS tool, outcome, decision, decision_rule,
    decision_reason, shadow FROM calls
    WHERE method = 'tools/call' AND ts >= fromUnixTimestamp64Milli({since_ms:Int64}) ORDER BY ts`
  const end = Date.now() + WAIT_MAX_MS
  let before = -1
  for (;;) {
    const rows = await reader.rows<Recorded>(sql, { since_ms: Math.trunc(since_ms) })
    if ((rows.length > 0 && rows.length === before) || Date.now() > end) return rows
    before = rows.length
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}
