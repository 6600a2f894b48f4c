/**
 * Which scopes a request needs: those of `*` for any, those of each pattern that its server and tool fit for calls. Pure.
 * A name is compared without case and in one Unicode form: asking for one scope too many is safe, one too few is not.
 */
import { fits } from '../../config/glob.ts'
import type { Auth } from '../../config/oauth.ts'

/** Methods that only introduce, list or tell: whoever may come in may use them. Everything else is a call. */
const OPEN_METHOD =
  /^(?:|initialize|ping|server\/discover|logging\/setLevel|notifications\/.+|(?:tools|prompts|resources|resources\/templates)\/list)$/
const KNOWN_MAX = 2000

const plain = (text: string): string => text.normalize('NFKC').toLowerCase()

export class ScopePolicy {
  /** Needed for anything. */
  readonly base: readonly string[]
  readonly #patterns: readonly { readonly parts: readonly string[]; readonly scopes: readonly string[] }[]
  readonly #implied = new Map<string, readonly string[]>()
  readonly #known = new Map<string, readonly string[]>()

  constructor({ scopes, scope_implies }: Pick<Auth, 'scopes' | 'scope_implies'>) {
    this.base = scopes['*'] ?? []
    this.#patterns = Object.entries(scopes)
      .filter(([pattern]) => pattern !== '*')
      .map(([pattern, wanted]) => ({ parts: plain(pattern).split('*'), scopes: wanted }))
    for (const scope of Object.keys(scope_implies)) this.#implied.set(scope, included(scope, scope_implies))
  }

  /** Whether calls may need more than any request does. */
  get hasCalls(): boolean {
    return this.#patterns.length > 0
  }

  /** All scopes for what this server's tool is asked, those for any request too. `tool` '' for what has none. */
  needed(server: string, tool: string): readonly string[] {
    const key = `${server}/${tool}`
    const known = this.#known.get(key)
    if (known) return known
    const text = plain(key)
    const matching = this.#patterns.filter(({ parts }) => fits(parts, text))
    const needed = [...new Set([...this.base, ...matching.flatMap(({ scopes }) => scopes)])]
    if (this.#known.size >= KNOWN_MAX) this.#known.clear()
    this.#known.set(key, needed)
    return needed
  }

  /** As `needed`, for a method: what only introduces or lists needs what any request does. */
  neededBy(method: string, server: string, tool: string): readonly string[] {
    return OPEN_METHOD.test(method) ? this.base : this.needed(server, tool)
  }

  /** What a token may do: its scopes, and those that they include. */
  granted(scopes: readonly string[]): ReadonlySet<string> {
    const granted = new Set(scopes)
    for (const scope of scopes) for (const narrower of this.#implied.get(scope) ?? []) granted.add(narrower)
    return granted
  }
}

/** All that a scope includes, at any depth. */
function included(scope: string, implies: Auth['scope_implies']): string[] {
  const found = new Set<string>()
  const walk = (at: string): void => {
    for (const next of Object.hasOwn(implies, at) ? implies[at]! : []) {
      if (found.has(next)) continue
      found.add(next)
      walk(next)
    }
  }
  walk(scope)
  return [...found]
}

export const missing = (needed: readonly string[], granted: ReadonlySet<string>): string[] =>
  needed.filter((scope) => !granted.has(scope))
