/**
 * What the rules of the config, and the scope of a credential, let a caller see and do. Keeps what was settled for a caller and a
 * target, so that a call pays only for what depends on itself. Knows no transport.
 * Invariant: what is kept is bounded, whatever names clients make up; a reload begins with a new gate.
 */

import type { Kind, Particulars, Target } from '../config/rule.ts'
import {
  type AnnotationFacts,
  annotationsOf,
  CallerFacts,
  ClientFacts,
  UNANNOTATED,
} from '../config/rule-facts.ts'
import type { CallerRules, Judgement, RuleSet, TargetRules } from '../config/ruleset.ts'
import type { Call } from './call.ts'
import { decide, noteShadow } from './decision.ts'
import type { Definitions } from './definitions.ts'
import type { Identity } from './identity/identity.ts'
import type { ListedPrompts } from './listed-prompts.ts'
import { isRecord } from './mcp/json.ts'

/** Targets remembered of all callers together. */
const TARGETS_MAX = 20_000
const ARGUMENTS_UNKNOWN: ReadonlySet<'args'> = new Set(['args'])
const NO_TAGS: Record<string, string> = {}

/** Methods that let a client see or do something of a server; the rest of the protocol's own is no right. */
const HOUSEKEEPING = new Set([
  'initialize',
  'ping',
  'server/discover',
  'logging/setLevel',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'subscriptions/listen',
  'tasks/list',
  'tasks/get',
  'tasks/result',
  'tasks/update',
  'tasks/cancel',
])

/** What a request is about, null for what needs no right. Server and, under the roof, tool are set. */
export function targetOf(call: Call): Omit<Target, 'annotations'> | null {
  if (call.kind !== 'request' || HOUSEKEEPING.has(call.method)) return null
  const { method, server } = call
  const { kind, name } = aimOf(call)
  return { kind, name, method, server }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function aimOf(call: Call): { kind: Kind; name: string } {
  const params = call.message?.params
  switch (call.method) {
    case 'tools/call':
      return { kind: 'tool', name: call.tool }
    case 'prompts/get':
      return { kind: 'prompt', name: call.tool }
    case 'resources/read':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return { kind: 'resource', name: textOf(params?.uri) }
    case 'completion/complete': {
      const ref = params?.ref as { type?: unknown; name?: unknown; uri?: unknown } | undefined
      if (ref?.type === 'ref/prompt') return { kind: 'prompt', name: call.tool || textOf(ref.name) }
      if (ref?.type === 'ref/resource') return resourceTarget(call, call.server, ref.uri)
      return { kind: 'other', name: '' }
    }
    default:
      return { kind: 'other', name: '' }
  }
}

/** A resource as a call means it. To hear of one is to subscribe to it, on whatever stream. `uri`: as it was written. */
function resourceTarget(call: Call, server: string, uri: unknown): Omit<Target, 'annotations'> {
  const name = textOf(uri)
  const isCompleting = call.method === 'completion/complete'
  const kind = isCompleting && name.includes('{') ? 'template' : 'resource'
  const names = isCompleting || call.method.startsWith('resources/')
  return { kind, method: names ? call.method : 'resources/subscribe', server, name }
}

/** How entries of a list are judged: as the call that would use them. */
export const ENTRIES: ReadonlyMap<string, { kind: Kind; method: string; name: string }> = new Map([
  ['tools', { kind: 'tool', method: 'tools/call', name: 'name' }],
  ['prompts', { kind: 'prompt', method: 'prompts/get', name: 'name' }],
  ['resources', { kind: 'resource', method: 'resources/read', name: 'uri' }],
  ['resourceTemplates', { kind: 'template', method: 'resources/read', name: 'uriTemplate' }],
])

type Known = { readonly rules: CallerRules; readonly targets: Map<string, TargetRules> }

const bits = ({ read_only, destructive, idempotent, open_world }: AnnotationFacts): number =>
  (read_only ? 1 : 0) + (destructive ? 2 : 0) + (idempotent ? 4 : 0) + (open_world ? 8 : 0)

export class Gate {
  readonly #rules: RuleSet
  readonly definitions: Definitions
  readonly prompts: ListedPrompts
  #callers = new WeakMap<Identity, Known>()
  #kept = 0

  constructor(rules: RuleSet, definitions: Definitions, prompts: ListedPrompts) {
    this.#rules = rules
    this.definitions = definitions
    this.prompts = prompts
  }

  /** Whether nothing could ever refuse this caller a call to the server. */
  isFree(identity: Identity, server: string): boolean {
    return this.#of(identity).rules.isFree(server)
  }

  /** Whether a prompt of the server could be refused this caller. */
  mayRefusePrompts(identity: Identity, server: string): boolean {
    return this.#of(identity).rules.mayRefusePrompts(server)
  }

  /** Whether a server is there at all for a caller. */
  reaches(identity: Identity, server: string): boolean {
    return this.#of(identity).rules.reaches(server, this.#particulars(null))
  }

  /** What the rules say of a call. */
  judge(call: Call, target: Target): Judgement {
    const rules = this.#target(call.identity!, target)
    return rules.constant ?? rules.judge(this.#particulars(call))
  }

  /** What they say of a resource that the call names. */
  judgeResource(call: Call, server: string, uri: unknown): Judgement {
    return this.judge(call, { ...resourceTarget(call, server, uri), annotations: UNANNOTATED })
  }

  /** Whether news of a resource may be heard on the stream of a call. */
  mayHearOf(call: Call, server: string, uri: unknown): boolean {
    const target = { kind: 'resource', method: 'resources/subscribe', server, name: textOf(uri) } as const
    return this.judge(call, { ...target, annotations: UNANNOTATED }).verdict === 'allow'
  }

  /** Whether an entry of a server's list is shown: unless no arguments could get past the rules. */
  shows(call: Call, server: string, list: string, entry: unknown): boolean {
    const { kind, method, name: key } = ENTRIES.get(list)!
    const given = typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : {}
    const name = given[key]
    // What has no name cannot be judged, and cannot be called either.
    if (typeof name !== 'string') return false
    const annotations =
      kind === 'tool' && this.usesAnnotations ? annotationsOf(given.annotations) : UNANNOTATED
    const rules = this.#target(call.identity!, { kind, method, server, name, annotations })
    const { verdict } = rules.constant ?? rules.judge(this.#particulars(call), ARGUMENTS_UNKNOWN)
    if (verdict === 'deny') return false
    if (kind === 'prompt' && this.mayRefusePrompts(call.identity!, server))
      this.prompts.note(call, server, name)
    return true
  }

  #of(identity: Identity): Known {
    const known = this.#callers.get(identity)
    if (known) return known
    const { caller, team, project, principal, auth_method, roles, tags } = identity
    const facts = new CallerFacts({
      name: caller,
      team,
      project,
      principal,
      auth_method,
      roles,
      tags: tags ?? NO_TAGS,
    })
    const fresh: Known = { rules: this.#rules.forCaller(facts, identity.scope), targets: new Map() }
    this.#callers.set(identity, fresh)
    return fresh
  }

  #target(identity: Identity, target: Target): TargetRules {
    const { targets, rules } = this.#of(identity)
    const key = `${target.kind}\n${target.method}\n${bits(target.annotations)}\n${target.server}\n${target.name}`
    const known = targets.get(key)
    if (known) return known
    const found = rules.forTarget(target)
    if (++this.#kept > TARGETS_MAX) {
      this.#callers = new WeakMap()
      this.#kept = 0
    } else targets.set(key, found)
    return found
  }

  #particulars(call: Call | null): Particulars {
    const given = call?.message?.params?.arguments
    return {
      args: given === undefined ? NO_ARGUMENTS : isRecord(given) ? given : null,
      args_bytes: call?.arguments_bytes ?? 0,
      client: new ClientFacts(call?.client_name ?? '', call?.client_version ?? ''),
      now: new Date(),
    }
  }

  get usesAnnotations(): boolean {
    return this.#rules.usesAnnotations
  }
}
const NO_ARGUMENTS: Record<string, unknown> = Object.freeze({})

const NOTHING_THERE = 'no rule lets the caller use anything of this server'
/** Puts on the record that a server is none for the caller. `error_code`: of the answer; 0 when it is none of JSON-RPC. */
export function recordOutOfReach(call: Call, server: string, error_code: number): void {
  call.server = server
  decide(call, 'deny', 'default', NOTHING_THERE)
  call.fail('denied', 'client', 'forbidden', NOTHING_THERE, error_code)
}

/** Puts a judgement on the record. True: the call may go on. */
export function record(call: Call, { verdict, rule, reason, facts, shadow }: Judgement): boolean {
  for (const name of shadow) noteShadow(call, name)
  decide(call, verdict === 'allow' ? 'allow' : 'deny', rule, reason, facts)
  if (verdict === 'allow') return true
  // The client is told that there is no such thing; the record says what happened.
  call.fail('denied', 'client', 'forbidden', `${rule}: ${reason}`, -32602)
  return false
}
