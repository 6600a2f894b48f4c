/**
 * What servers say of their tools: annotations and schemas, for the stages that judge a call by them. Learned from every
 * `tools/list` that passes, asked for when a call comes first, and asked again when old or when a server says that it
 * changed. Kept apart by server, caller and revision, for what a server lists may differ by each: no caller is judged by
 * what another was told. Nothing here is trusted: annotations are claims of the server, schemas are bounded in size.
 * Knows no transport. Invariant: what is kept is bounded in entries and in characters; one question at a time for a view.
 */
import { hash } from 'node:crypto'
import { type AnnotationFacts, annotationsOf } from '../config/rule-facts.ts'
import { LIST_TOOLS_MAX } from '../event/catalogue.ts'
import type { Call, Message } from './call.ts'
import { digestOf } from './catalogue.ts'
import { type Fetch, Freshness } from './freshness.ts'
import { isRecord } from './mcp/json.ts'
import { locate } from './mcp/splice.ts'
import { LEGACY_VERSIONS, MODERN_VERSIONS } from './mcp/versions.ts'

export type Schema = {
  /** As the server gave it; null when `fault` says why it is not kept. */
  readonly value: unknown
  /** Of its text: equal schemas have equal hashes, whoever sent them. */
  readonly hash: string
  readonly fault: '' | 'too large'
}

export type Definition = {
  readonly server: string
  readonly tool: string
  /** As the catalogue of the store has it. */
  readonly hash: string
  readonly annotations: AnnotationFacts
  /** Null: the tool has none. */
  readonly input: Schema | null
  readonly output: Schema | null
}

/** One answer to `tools/list` put together from its pages. */
export type ToolsRead = { readonly tools: readonly unknown[]; readonly ttl_ms: number }

const VIEWS_MAX = 2_000
const KEPT_MAX_CHARS = 67_108_864
const SCHEMA_MAX_CHARS = 262_144

type Kept = { readonly definition: Definition; readonly chars: number; uses: number }

/** What one caller was told by one server in one revision. */
type View = {
  readonly key: string
  readonly server: string
  readonly tools: Map<string, Kept>
  /** Hash of the page that was read last: the same text is not read again. */
  page: string
  readonly freshness: Freshness
}

export class Definitions {
  readonly #read: (call: Call) => Promise<ToolsRead>
  readonly #now: () => number
  readonly #views = new Map<string, View>()
  /** Equal definitions are kept once. */
  readonly #pool = new Map<string, Kept>()
  #chars = 0
  /** Whether a stage wants to know; nothing is read otherwise. */
  isWanted = false

  /** `read`: asks the server of a call for its whole list. `now`: milliseconds. */
  constructor(read: (call: Call) => Promise<ToolsRead>, now: () => number = Date.now) {
    this.#read = read
    this.#now = now
  }

  get size(): { views: number; definitions: number; chars: number } {
    return { views: this.#views.size, definitions: this.#pool.size, chars: this.#chars }
  }

  /** What is known of a call's tool now; null for nothing. */
  get(call: Call): Definition | null {
    return this.#views.get(keyOf(call))?.tools.get(call.tool)?.definition ?? null
  }

  /**
   * The definition of a call's tool, asked for when it is not known; null when the server does not list it or does not
   * say. `call.server`, `call.tool` and `call.way` are set. A promise only when the server is asked.
   */
  of(call: Call): Definition | null | Promise<Definition | null> {
    const view = this.#view(call)
    const known = view.tools.get(call.tool)?.definition ?? null
    const { freshness } = view
    if (known) {
      if (!freshness.isFresh) freshness.use(call.upstream_session, this.#fetch(view, call))
      return known
    }
    return this.#found(view, call, freshness.seek(call.upstream_session, this.#fetch(view, call)))
  }

  /** Whether the whole list of a call's server is known. */
  knowsList(call: Call): boolean {
    return this.#views.get(keyOf(call))?.freshness.isWhole ?? false
  }

  /** Waits as `of` does for a tool that is not listed. */
  seek(call: Call): Promise<void> | null {
    const view = this.#view(call)
    return view.freshness.seek(call.upstream_session, this.#fetch(view, call))
  }

  /** As `of`, from a list that was asked for after this call, unless one was asked for just now. */
  fresh(call: Call): Definition | null | Promise<Definition | null> {
    const view = this.#view(call)
    return this.#found(view, call, view.freshness.again(call.upstream_session, this.#fetch(view, call)))
  }

  /** A page of tools as `server` gave it on behalf of the call. `version`: the revision spoken with that server. */
  listed(call: Call, server: string, version: string, message: Message | null): void {
    const result = message?.result
    if (!this.isWanted || !isRecord(result) || !Array.isArray(result.tools)) return
    const view = this.#viewOf(server, call.identity!.caller, version)
    try {
      this.#page(view, call, digest(JSON.stringify(result.tools)), result)
    } catch {
      // Nested too deep to be written down: nothing is known of it.
    }
  }

  /** The answer to a `tools/list` at a server's own endpoint, as JSON text. */
  answered(call: Call, text: string): void {
    if (!this.isWanted || call.outcome !== 'ok' || call.method !== 'tools/list') return
    const span = locate(text, ['result', 'tools'])
    if (span === null) return
    const view = this.#view(call)
    const page = digest(text.slice(span.start, span.end))
    if (page === view.page && view.freshness.isFresh) return
    try {
      const { result } = JSON.parse(text) as { result: unknown }
      if (isRecord(result)) this.#page(view, call, page, result)
    } catch {
      // Nobody may have tried to read a large answer yet: then it is none.
    }
  }

  /** A message of a server on any stream; when it says that its tools changed, they are asked for at the next call. */
  heard(server: string, json: string): void {
    if (!this.isWanted || !json.includes('notifications/tools/list_changed')) return
    for (const view of this.#views.values()) {
      if (view.server !== server) continue
      view.freshness.stale()
      view.page = ''
    }
  }

  /** Forgets what is known of servers that were changed or removed. */
  forget(isSame: (server: string) => boolean): void {
    for (const view of this.#views.values()) if (!isSame(view.server)) this.#drop(view)
  }

  #view(call: Call): View {
    return this.#viewOf(call.server, call.identity!.caller, call.upstream_protocol_version)
  }

  #viewOf(server: string, caller: string, version: string): View {
    const key = viewKey(server, caller, version)
    let view = this.#views.get(key)
    if (view) return view
    if (this.#views.size >= VIEWS_MAX) this.#dropOldest()
    view = {
      key,
      server,
      tools: new Map(),
      page: '',
      freshness: new Freshness(this.#now),
    }
    this.#views.set(key, view)
    return view
  }

  #fetch(view: View, call: Call): Fetch {
    return async () => this.#replace(view, await this.#read(call))
  }

  #found(
    view: View,
    { tool }: Call,
    asked: Promise<void> | null,
  ): Definition | null | Promise<Definition | null> {
    const found = (): Definition | null => view.tools.get(tool)?.definition ?? null
    return asked ? asked.then(found) : found()
  }

  #replace(view: View, { tools, ttl_ms }: ToolsRead): void {
    // It may have been given up meanwhile.
    if (this.#views.get(view.key) !== view) return
    const before = [...view.tools.values()]
    view.tools.clear()
    this.#learn(view, tools)
    for (const kept of before) this.#release(kept)
    view.page = ''
    view.freshness.told(ttl_ms)
  }

  /** Parts of a list are added to what is known; only a whole one makes it fresh. */
  #page(view: View, call: Call, page: string, result: Record<string, unknown>): void {
    if (!Array.isArray(result.tools)) return
    if (page !== view.page) this.#learn(view, result.tools)
    view.page = page
    const isWhole = call.message?.params?.cursor === undefined && result.nextCursor === undefined
    if (isWhole) view.freshness.told(result.ttlMs)
  }

  #learn(view: View, tools: readonly unknown[]): void {
    const seen = new Set<string>()
    for (const tool of tools.slice(0, LIST_TOOLS_MAX)) {
      // Of two tools under one name the client cannot mean the second.
      if (!isRecord(tool) || typeof tool.name !== 'string' || seen.has(tool.name)) continue
      seen.add(tool.name)
      const kept = this.#keep(view.server, tool.name, tool)
      const before = view.tools.get(tool.name)
      if (before) this.#release(before)
      if (kept) view.tools.set(tool.name, kept)
      else view.tools.delete(tool.name)
    }
    while (this.#chars > KEPT_MAX_CHARS && this.#views.size > 1) this.#dropOldest()
  }

  #keep(server: string, tool: string, entry: Record<string, unknown>): Kept | null {
    let kept: Kept | undefined
    try {
      const entry_hash = digestOf(entry)
      const key = `${server}\n${entry_hash}`
      kept = this.#pool.get(key)
      if (!kept) {
        const input = schemaOf(entry.inputSchema)
        const output = schemaOf(entry.outputSchema)
        const annotations = annotationsOf(entry.annotations)
        const definition = {
          server,
          tool,
          hash: entry_hash,
          annotations,
          input: input.schema,
          output: output.schema,
        }
        kept = { definition, chars: tool.length + input.chars + output.chars + 200, uses: 0 }
        this.#pool.set(key, kept)
        this.#chars += kept.chars
      }
    } catch {
      // Nested too deep to be written down: nothing is known of it.
      return null
    }
    kept.uses++
    return kept
  }

  #release(kept: Kept): void {
    if (--kept.uses > 0) return
    this.#pool.delete(`${kept.definition.server}\n${kept.definition.hash}`)
    this.#chars -= kept.chars
  }

  #drop(view: View): void {
    this.#views.delete(view.key)
    for (const kept of view.tools.values()) this.#release(kept)
    view.tools.clear()
  }

  #dropOldest(): void {
    for (const view of this.#views.values()) return this.#drop(view)
  }
}

function schemaOf(value: unknown): { schema: Schema | null; chars: number } {
  if (value === undefined) return { schema: null, chars: 0 }
  const text = JSON.stringify(value)
  const schema_hash = digest(text)
  if (text.length > SCHEMA_MAX_CHARS)
    return { schema: { value: null, hash: schema_hash, fault: 'too large' }, chars: 0 }
  return { schema: { value, hash: schema_hash, fault: '' }, chars: text.length }
}

const digest = (text: string): string => hash('sha256', text).slice(0, 32)

const REVISIONS = new Set([...MODERN_VERSIONS, ...LEGACY_VERSIONS])

/** A client may claim any revision: those that are none share a view. */
const viewKey = (server: string, caller: string, version: string): string =>
  `${server}\n${REVISIONS.has(version) ? version : ''}\n${caller}`

const keyOf = (call: Call): string =>
  viewKey(call.server, call.identity!.caller, call.upstream_protocol_version)
