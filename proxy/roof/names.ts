/**
 * Names under the roof: `<server><separator><name>`, reversible. Resolved by the table of what was listed, else by the
 * longest server key in front; a name that had to be cut carries a hash and is only in the table: a worker that has not
 * listed it yet (a new one, or one beside the one that did) must list first. Source: mcp.md section 8.
 */
import { hash } from 'node:crypto'
import { comesOf, type Literals, literalsOf, TEMPLATE_MAX_CHARS } from '../mcp/uri-template.ts'

export type Owned = { server: string; name: string }

const HASH_CHARS = 8
const TABLE_MAX = 100_000
const HASHED = new RegExp(`-[0-9a-f]{${HASH_CHARS}}$`)
/** How long the lists of a server are taken as known before a strange name has them read again. */
const LEARNED_MS = 10_000

export class Names {
  readonly #separator: string
  readonly #max: number
  /** Longest first, so that the most specific key wins. */
  readonly #servers: readonly string[]
  readonly #table = new Map<string, Owned>()
  readonly #learned = new Map<string, number>()

  constructor(servers: readonly string[], separator: string, name_max: number) {
    this.#servers = [...servers].sort((a, b) => b.length - a.length)
    this.#separator = separator
    this.#max = name_max
  }

  /** The name a client sees, and the note that it belongs to this server. Deterministic: no order of listing changes it. */
  expose(server: string, name: string): string {
    const full = `${server}${this.#separator}${name}`
    const resolved = full.length > this.#max ? null : this.#byPrefix(full)
    const isPlain = resolved !== null && resolved.server === server && resolved.name === name
    const exposed = isPlain
      ? full
      : `${full.slice(0, this.#max - HASH_CHARS - 1)}-${hash('sha256', `${server}\n${name}`).slice(0, HASH_CHARS)}`
    if (!isPlain) {
      if (this.#table.size >= TABLE_MAX) this.#table.delete(this.#table.keys().next().value!)
      this.#table.set(exposed, { server, name })
    }
    return exposed
  }

  /**
   * Servers whose lists may hold a name that looks cut and is not known here; none when the name can be resolved as it is.
   * Whoever asks reads those lists next: they are not named again for a while, or strangers could make us list for ever.
   * `isGated`: also for a name that is known, which the caller may not be meant to know: it takes the way of any other.
   */
  toLearn(exposed: string, method: string, now_ms: number, isGated: boolean): string[] {
    if (!HASHED.test(exposed) || (!isGated && this.#table.has(exposed))) return []
    const full = exposed.slice(0, -HASH_CHARS - 1)
    return this.#servers.filter((server) => {
      const start = `${server}${this.#separator}`
      if (!full.startsWith(start) && !start.startsWith(full)) return false
      const key = `${server}\n${method}`
      if (now_ms - (this.#learned.get(key) ?? Number.NEGATIVE_INFINITY) < LEARNED_MS) return false
      this.#learned.set(key, now_ms)
      return true
    })
  }

  /** Whose name it is; null when no server key is in front of it. A cut name must have been listed before. */
  resolve(exposed: string): Owned | null {
    return this.#table.get(exposed) ?? this.#byPrefix(exposed)
  }

  #byPrefix(exposed: string): Owned | null {
    for (const server of this.#servers)
      if (exposed.startsWith(server) && exposed.startsWith(this.#separator, server.length))
        return { server, name: exposed.slice(server.length + this.#separator.length) }
    return null
  }
}

type Template = { server: string; literals: Literals }

/** Which server a resource URI belongs to, learned from lists. */
export class Resources {
  readonly #owners = new Map<string, string>()
  readonly #templates = new Map<string, Template>()

  /** Notes a listed resource. False when another server had the URI first: it stays with that one. */
  claim(uri: string, server: string): boolean {
    const owner = this.#owners.get(uri)
    if (owner !== undefined) return owner === server
    if (this.#owners.size >= TABLE_MAX) this.#owners.delete(this.#owners.keys().next().value!)
    this.#owners.set(uri, server)
    return true
  }

  /** Templates beyond TEMPLATE_MAX_CHARS are listed, but find nothing. */
  claimTemplate(template: string, server: string): void {
    if (template.length > TEMPLATE_MAX_CHARS) return
    if (this.#templates.size < TABLE_MAX)
      this.#templates.set(`${server}\n${template}`, { server, literals: literalsOf(template) })
  }

  owner(uri: string): string | null {
    const exact = this.#owners.get(uri)
    if (exact !== undefined) return exact
    for (const { server, literals } of this.#templates.values()) if (comesOf(literals, uri)) return server
    return null
  }
}
