/** The record a strict installation writes before it forwards a tools/call. Part of the contract, beside event/fields.ts. */

/**
 * The record of an intent (`durability: strict`): written and synced before a tools/call is forwarded.
 * An intent without its event is a call whose answer nobody saw recorded: view `unfinished_calls`.
 */
export type CallIntent = {
  intent: 1
  event_id: string
  ts: number
  trace_id: string
  session_id: string
  caller: string
  team: string
  project: string
  agent: string
  principal: string
  instance: string
  worker: string
  method: string
  server: string
  tool: string
  arguments_hash: string
}
