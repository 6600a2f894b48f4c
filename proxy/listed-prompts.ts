/**
 * Which prompts servers list, for the stage that answers for those that do not exist. Kept apart by server and caller, for what
 * a server lists may differ by caller; read when first needed, again when old, when a server says that its list changed, and for
 * what is not in it. What callers are shown is noted too. Knows no transport.
 * Invariant: what is kept is bounded in views and in characters; one question at a time for a view.
 */
import { LIST_TOOLS_MAX } from '../event/catalogue.ts'
import type { Call } from './call.ts'
import { type Fetch, Freshness } from './freshness.ts'

/** The list read to its end. */
export type PromptsRead = { readonly names: readonly string[]; readonly ttl_ms: number }

const VIEWS_MAX = 4_000
const KEPT_MAX_CHARS = 67_108_864
const NAME_MAX_CHARS = 8_192
/** What an entry costs beside its text. */
const ENTRY_CHARS = 64
const CHANGED = /notifications\\?\/prompts\\?\/list_changed/

/** What one caller was told by one server. */
type View = {
  readonly key: string
  readonly server: string
  names: Set<string>
  chars: number
  readonly freshness: Freshness
}

export class ListedPrompts {
  readonly #read: (call: Call) => Promise<PromptsRead>
  readonly #now: () => number
  readonly #views = new Map<string, View>()
  #chars = 0

  /** `read`: asks the server of a call for the whole list. `now`: milliseconds. */
  constructor(read: (call: Call) => Promise<PromptsRead>, now: () => number = Date.now) {
    this.#read = read
    this.#now = now
  }

  get size(): { views: number; chars: number } {
    return { views: this.#views.size, chars: this.#chars }
  }

  /** Whether the server of a call lists a prompt. */
  has(call: Call, name: string): boolean {
    return this.#view(call, call.server).names.has(name)
  }

  /** Whether the whole list is known. */
  isWhole(call: Call): boolean {
    return this.#view(call, call.server).freshness.isWhole
  }

  /** What the list holds is used. An old list is asked for beside that. */
  use(call: Call): void {
    const view = this.#view(call, call.server)
    if (!view.freshness.isFresh) view.freshness.use(call.upstream_session, this.#fetch(view, call))
  }

  /** Something is not to be found in the list. Null: asking would tell nothing new now. */
  seek(call: Call): Promise<void> | null {
    const view = this.#view(call, call.server)
    return view.freshness.seek(call.upstream_session, this.#fetch(view, call))
  }

  /** A server has listed this to the caller, who is shown it. */
  note(call: Call, server: string, name: string): void {
    this.#add(this.#view(call, server), name)
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

  #fetch(view: View, call: Call): Fetch {
    return async () => {
      const { names, ttl_ms } = await this.#read(call)
      // It may have been given up meanwhile.
      if (this.#views.get(view.key) !== view) return
      this.#chars -= view.chars
      view.chars = 0
      view.names = new Set()
      for (const name of names) this.#add(view, name)
      view.freshness.told(ttl_ms)
      this.#shed()
    }
  }

  #add(view: View, name: string): void {
    if (view.names.size >= LIST_TOOLS_MAX || name.length > NAME_MAX_CHARS || view.names.has(name)) return
    view.names.add(name)
    view.chars += name.length + ENTRY_CHARS
    this.#chars += name.length + ENTRY_CHARS
  }

  #view(call: Call, server: string): View {
    const key = `${server}\n${call.identity!.caller}`
    let view = this.#views.get(key)
    if (view) return view
    if (this.#views.size >= VIEWS_MAX) this.#dropOldest()
    view = { key, server, names: new Set(), chars: 0, freshness: new Freshness(this.#now) }
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
