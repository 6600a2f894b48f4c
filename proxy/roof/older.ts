/** Answers of a server whose revision is newer than the one its client has with the roof, which speaks to each in its own. */
import type { Call } from '../call.ts'
import { legacyAnswer } from '../mcp/downgrade.ts'

/** What makes a server's answers such as the client's revision knows; null where they are already. */
export function olderAnswer(call: Call, client: string, server: string): ((json: string) => string) | null {
  if (server <= client || client === '') return null
  const request = { method: call.method, tool: call.tool }
  return (json) => {
    try {
      return legacyAnswer(json, JSON.parse(json) as Record<string, unknown>, request, client, new Set())
    } catch {
      return json
    }
  }
}
