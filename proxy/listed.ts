/**
 * Which prompts and resources servers list, for the stage that answers for those that do not exist. Kept apart by server and
 * caller, for what a server lists may differ by caller; read when first needed, again when old, when a server says that its
 * list changed, and for what is not in it. What callers are shown is noted too. Knows no transport.
 * Invariant: what is kept is bounded in views and in characters; one question at a time for a view.
 */
import { LIST_TOOLS_MAX } from '../event/catalogue.ts'
import type { Call } from './call.ts'
import { type Fetch, Freshness } from './freshness.ts'
import { comesOf, type Literals, literalsOf, TEMPLATE_MAX_CHARS } from './mcp/uri-template.ts'

/** `template`: of resources, named by its own text. */
export type ListedKind = 'prompt' | 'resource' | 'template'
/** One list read to its end: names of prompts; or URIs of resources, and templates. */
export type NamesRead = {
  readonly names: readonly string[]
  readonly templates: readonly string[]
  readonly ttl_ms: number
}

const VIEWS_MAX = 4_000
const KEPT_MAX_CHARS = 67_108_864
/** What an entry costs beside its text. */
const ENTRY_CHARS = 64
const CHANGED = /notifications\\?\/(?:prompts|resources)\\?\/list_changed/

/** What one caller was told by one server. */
type View = {
  readonly key: string
  readonly server: string
  names: Set<string>
  templates: Map<string, Literals>
  chars: number
  readonly freshness: Freshness
}

const areaOf = (kind: ListedKind): 'prompt' | 'resource' => (kind === 'prompt' ? 'prompt' : 'resource')

export class Listed {
  readonly #read: (call: Call, area: 'prompt' | 'resource') => Promise<NamesRead>
  readonly #now: () => number
  readonly #views = new Map<string, View>()
  #chars = 0

  /** `read`: asks the server of a call for a whole list. `now`: milliseconds. */
  constructor(
    read: (call: Call, area: 'prompt' | 'resource') => Promise<NamesRead>,
    now: () => number = Date.now,
  ) {
    this.#read = read
    this.#now = now
  }

  get size(): { views: number; chars: number } {
    return { views: this.#views.size, chars: this.#chars }
  }

  /** Whether the server of a call lists a prompt, a resource (by itself or as one of a template) or a template. */
  has(call: Call, kind: ListedKind, name: string): boolean {
    const { names, templates } = this.#view(call, call.server, kind)
    if (kind === 'template') return templates.has(name)
    if (names.has(name)) return true
    if (kind === 'resource')
      for (const literals of templates.values()) if (comesOf(literals, name)) return true
    return false
  }

  /** Whether the whole list is known. */
  isWhole(call: Call, kind: ListedKind): boolean {
    return this.#view(call, call.server, kind).freshness.isWhole
  }

  /** What the list holds is used. An old list is asked for beside that. */
  use(call: Call, kind: ListedKind): void {
    const view = this.#view(call, call.server, kind)
    if (!view.freshness.isFresh) view.freshness.use(call.upstream_session, this.#fetch(view, call, kind))
  }

  /** Something is not to be found in the list. Null: asking would tell nothing new now. */
  seek(call: Call, kind: ListedKind): Promise<void> | null {
    const view = this.#view(call, call.server, kind)
    return view.freshness.seek(call.upstream_session, this.#fetch(view, call, kind))
  }

  /** A server has listed this to the caller, who is shown it. */
  note(call: Call, server: string, kind: ListedKind, name: string): void {
    this.#add(this.#view(call, server, kind), kind === 'template', name)
    this.#shed()
  }

  /** A message of a server on any stream; a list that it says has changed is asked for at the next need. */
  heard(server: string, json: string): void {
    if (!CHANGED.test(json)) return
    for (const view of this.#views.values()) if (view.server === server) view.freshness.stale()
  }

  /** Forgets what is known of servers that were changed or removed. */
  forget(isSame: (server: string) => boolean): void {
    for (const view of this.#views.values()) if (!isSame(view.server)) this.#drop(view)
  }

  #fetch(view: View, call: Call, kind: ListedKind): Fetch {
    return async () => {
      const { names, templates, ttl_ms } = await this.#read(call, areaOf(kind))
      // It may have been given up meanwhile.
      if (this.#views.get(view.key) !== view) return
      this.#chars -= view.chars
      view.chars = 0
      view.names = new Set()
      view.templates = new Map()
      for (const name of names) this.#add(view, false, name)
      for (const template of templates) this.#add(view, true, template)
      view.freshness.told(ttl_ms)
      this.#shed()
    }
  }

  #add(view: View, isTemplate: boolean, name: string): void {
    const { names, templates } = view
    if (names.size + templates.size >= LIST_TOOLS_MAX || name.length > TEMPLATE_MAX_CHARS) return
    if (isTemplate ? templates.has(name) : names.has(name)) return
    if (isTemplate) templates.set(name, literalsOf(name))
    else names.add(name)
    view.chars += name.length + ENTRY_CHARS
    this.#chars += name.length + ENTRY_CHARS
  }

  #view(call: Call, server: string, kind: ListedKind): View {
    const key = `${areaOf(kind)}\n${server}\n${call.identity!.caller}`
    let view = this.#views.get(key)
    if (view) return view
    if (this.#views.size >= VIEWS_MAX) this.#dropOldest()
    const freshness = new Freshness(this.#now)
    view = { key, server, names: new Set(), templates: new Map(), chars: 0, freshness }
    this.#views.set(key, view)
    return view
  }

  #drop(view: View): void {
    this.#views.delete(view.key)
    this.#chars -= view.chars
    view.chars = 0
  }

  #shed(): void {
    while (this.#chars > KEPT_MAX_CHARS && this.#views.size > 1) this.#dropOldest()
  }

  #dropOldest(): void {
    for (const view of this.#views.values()) return this.#drop(view)
  }
}
