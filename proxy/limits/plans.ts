/** Limits of the calls seen lately, found without building a text: by who calls, then by what is called. */

import type { LimitEntry } from '../../config/limit-book.ts'
import { type Plan, type Subject, selector } from '../../limits/select.ts'
import type { Call } from '../call.ts'

/** `agent` and `project` are the client's to choose: a call with others than the last looks again. */
type Known = { agent: string; project: string; plan: Plan }
type Tools = Map<string, Known>
type Servers = Map<string, Tools>
/** Tools remembered of a caller at a server: clients choose their names. */
const TOOLS_MAX = 1_000

/** Null when there is no limit at all. */
export function planner(entries: readonly LimitEntry[]): ((call: Call) => Plan) | null {
  const select = selector(entries)
  if (!select) return null
  const known = new WeakMap<object, Map<string, Servers>>()
  const toolsOf = (call: Call): Tools => {
    let methods = known.get(call.identity!)
    if (!methods) known.set(call.identity!, (methods = new Map()))
    let servers = methods.get(call.method)
    if (!servers) {
      if (methods.size >= TOOLS_MAX) methods.clear()
      methods.set(call.method, (servers = new Map()))
    }
    let tools = servers.get(call.server)
    if (!tools) servers.set(call.server, (tools = new Map()))
    return tools
  }
  return (call) => {
    const tools = toolsOf(call)
    const found = tools.get(call.tool)
    if (found && found.agent === call.agent && found.project === call.project) return found.plan
    if (tools.size >= TOOLS_MAX) tools.clear()
    const plan = select(subjectOf(call))
    tools.set(call.tool, { agent: call.agent, project: call.project, plan })
    return plan
  }
}

function subjectOf(call: Call): Subject {
  const identity = call.identity!
  return {
    caller: identity.caller,
    team: identity.team,
    project: identity.project || call.project,
    agent: call.agent,
    key: identity.principal,
    server: call.server,
    tool: call.tool,
    method: call.method,
    roles: identity.roles,
  }
}
