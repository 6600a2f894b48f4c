/**
 * Which limits hold for a call, and under which keys it is counted. Keys are made of who calls and what is called, never of a
 * session or a connection. Pure.
 */
import { fits } from '../config/glob.ts'
import type { LimitEntry, LimitPer, MatchField } from '../config/limit-book.ts'

/** What of a call its limits depend on. `key`: the credential. */
export type Subject = { readonly [P in LimitPer]: string } & { readonly roles: readonly string[] }
export type Line = { readonly key: string; readonly entry: LimitEntry }
/** Whether something of a limit is to be told when the call ends: what comes back of concurrency, what money was spent. */
export const hasEnd = ({ kind }: Pick<LimitEntry, 'kind'>): boolean =>
  kind === 'concurrency' || kind === 'spend'
export type Plan = {
  readonly enforced: readonly Line[]
  readonly shadow: readonly Line[]
  /** Of any of them. */
  readonly hasEnd: boolean
  readonly hasSpend: boolean
  /** Nothing but rates and quotas that refuse. */
  readonly isPlain: boolean
}

export const NO_PLAN: Plan = Object.freeze({
  enforced: [],
  shadow: [],
  hasEnd: false,
  hasSpend: false,
  isPlain: true,
})
/** More of a name that a client chooses makes no other count. */
const VALUE_MAX = 200

const safe = (value: string): string => {
  const short = value.length > VALUE_MAX ? value.slice(0, VALUE_MAX) : value
  return short.includes('\n') ? short.replaceAll('\n', '\u2424') : short
}

/** Value of a scope of budgets. */
const scoped = (scope: string, s: Subject): string =>
  scope === 'tool' ? `${s.server}/${s.tool}` : (s[scope as LimitPer] ?? '')

type Test = (subject: Subject) => boolean

function testOf(field: MatchField, patterns: readonly string[]): Test {
  const cut = patterns.map((pattern) => ({ parts: pattern.split('*'), isPath: pattern.includes('/') }))
  const any = (text: string): boolean => cut.some(({ parts }) => fits(parts, text))
  switch (field) {
    case 'tools':
      return ({ server, tool }) =>
        tool !== '' && cut.some(({ parts, isPath }) => fits(parts, isPath ? `${server}/${tool}` : tool))
    case 'roles':
      return ({ roles }) => roles.some(any)
    case 'servers':
      return ({ server }) => any(server)
    case 'callers':
      return ({ caller }) => any(caller)
    case 'teams':
      return ({ team }) => any(team)
    case 'projects':
      return ({ project }) => any(project)
    case 'agents':
      return ({ agent }) => any(agent)
    case 'methods':
      return ({ method }) => any(method)
  }
}

function compile(entry: LimitEntry): { entry: LimitEntry; tests: readonly Test[] } {
  const tests = Object.entries(entry.match).map(([field, patterns]) => testOf(field as MatchField, patterns))
  const { exact } = entry
  if (exact) tests.push((subject) => scoped(exact.scope, subject) === exact.value)
  return { entry, tests }
}

const keyOf = ({ id, per }: LimitEntry, subject: Subject): string =>
  per.length === 0 ? id : `${id}\n${per.map((one) => safe(subject[one])).join('\n')}`

/** Null when there is no limit at all. */
export function selector(entries: readonly LimitEntry[]): ((subject: Subject) => Plan) | null {
  if (entries.length === 0) return null
  const compiled = entries.map(compile)
  const find = (subject: Subject): Plan => {
    const lines = compiled
      .filter(({ tests }) => tests.every((test) => test(subject)))
      .map(({ entry }) => ({ key: keyOf(entry, subject), entry }))
    if (lines.length === 0) return NO_PLAN
    return {
      enforced: lines.filter(({ entry }) => entry.mode === 'enforce'),
      shadow: lines.filter(({ entry }) => entry.mode === 'shadow'),
      hasEnd: lines.some(({ entry }) => hasEnd(entry)),
      isPlain: lines.every(
        ({ entry: { kind, mode } }) => mode === 'enforce' && (kind === 'rate' || kind === 'quota'),
      ),
      hasSpend: lines.some(({ entry }) => entry.kind === 'spend'),
    }
  }
  return find
}
