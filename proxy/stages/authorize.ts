/**
 * Whether the caller may do what it asks for: the rules of the config and the scope of its credential. What is forbidden is
 * answered as what does not exist, byte for byte and by the same way: while rules could refuse a tool or a prompt of a server, Weir
 * itself answers for those that the server does not list. Fails closed: without its list none of them is used.
 */

import type { Target } from '../../config/rule.ts'
import { UNANNOTATED } from '../../config/rule-facts.ts'
import type { ErrorCode } from '../../event/error-table.ts'
import type { Call } from '../call.ts'
import type { Definition } from '../definitions.ts'
import { WeirError } from '../errors.ts'
import { type Gate, record, targetOf } from '../gate.ts'
import { paramsFault } from '../mcp/ladder.ts'
import type { Stage } from '../pipeline.ts'

const UNKNOWN: Record<Target['kind'], ErrorCode> = {
  tool: 'tool_unknown',
  prompt: 'prompt_unknown',
  resource: 'resource_unknown',
  template: 'resource_unknown',
  other: 'method_unknown',
}

/** Arguments repeated in headers, as the definition of the tool asks: the same ones. */
function checkParams(call: Call, definition: Definition): void {
  if (!call.req.rawHeaders.some((header) => /^mcp-param-/i.test(header))) return
  const fault = paramsFault(call.req.headers, call.message!.params, definition.input?.value, null)
  if (fault) throw new WeirError('header_mismatch', 'Mcp-Param')
}

function refuse(target: Pick<Target, 'kind'>, isListKnown = true): never {
  // Of what is forbidden too, or it would be told from what is unknown while its server is in trouble.
  if (!isListKnown) throw new WeirError('upstream_unavailable', 'what it has cannot be listed')
  throw new WeirError(UNKNOWN[target.kind])
}

function judgeTool(
  gate: Gate,
  call: Call,
  target: Omit<Target, 'annotations'>,
  definition: Definition | null,
): void | Promise<void> {
  if (definition === null) {
    // As much work as for a tool that exists, and nothing kept of names that clients make up.
    gate.judge(call, { ...target, name: '', annotations: UNANNOTATED })
    return refuse(target, gate.definitions.knowsList(call))
  }
  const annotations = gate.usesAnnotations ? definition.annotations : UNANNOTATED
  if (record(call, gate.judge(call, { ...target, annotations }))) return checkParams(call, definition)
  // For a name that is not listed the list is read again; so it is for one that is not to be known, or the time would tell.
  const end = (): never => refuse(target, gate.definitions.knowsList(call))
  const asked = gate.definitions.seek(call)
  return asked ? asked.then(end) : end()
}

/** As for a tool: what is forbidden is looked for as what nobody lists. */
function judgePrompt(gate: Gate, call: Call, target: Omit<Target, 'annotations'>): void | Promise<void> {
  const { prompts } = gate
  const judged = gate.judge(call, { ...target, annotations: UNANNOTATED })
  const isAllowed = judged.verdict === 'allow'
  const isThere = (): boolean => prompts.has(call, isAllowed ? target.name : '') && isAllowed
  const pass = (): void => void record(call, judged)
  if (isThere()) {
    prompts.use(call)
    return pass()
  }
  const end = (): void => {
    if (isThere()) return pass()
    if (!isAllowed) record(call, judged)
    refuse(target, prompts.isWhole(call))
  }
  const asked = prompts.seek(call)
  return asked ? asked.then(end) : end()
}

/** A listen stream names the resources it wants to hear of. */
function checkSubscriptions(gate: Gate, call: Call): void {
  const wanted = call.message?.params?.notifications as { resourceSubscriptions?: unknown } | undefined
  const uris = Array.isArray(wanted?.resourceSubscriptions) ? wanted.resourceSubscriptions : []
  for (const uri of uris)
    if (!record(call, gate.judgeResource(call, call.server, uri))) refuse({ kind: 'resource' })
}

export const authorize = (gate: Gate): Stage => ({
  name: 'authorize',
  why: 'first of those that know the target: who may not call uses up no limit and learns nothing of a schema',
  needs: 'target',
  before(call) {
    if (call.method === 'subscriptions/listen' && call.endpoint.server !== '')
      return checkSubscriptions(gate, call)
    const target = targetOf(call)
    if (target === null) return
    if (target.kind === 'prompt' && gate.mayRefusePrompts(call.identity!, call.server))
      return judgePrompt(gate, call, target)
    if (target.kind !== 'tool' || gate.isFree(call.identity!, call.server)) {
      if (!record(call, gate.judge(call, { ...target, annotations: UNANNOTATED }))) refuse(target)
      return
    }
    const definition = gate.definitions.of(call)
    if (definition instanceof Promise) return definition.then((known) => judgeTool(gate, call, target, known))
    return judgeTool(gate, call, target, definition)
  },
})
