/**
 * What the tools are that pass by in answers to `tools/list`: a hash and a size of each, and an id of the whole answer, set on
 * the event. What was not told before goes to the spool beside the events, ahead of the event that names it; all of it again
 * once an hour, so that what is in use never grows old in the store and what was lost on the way comes back.
 * An answer that takes long to read is not waited for: its id is a hash of its text, and what it held is read afterwards, in
 * slices between other calls. Reads copies: no byte of an answer changes. Knows no transport.
 * Invariant: ids depend on content alone, so every worker, and every process after it, finds the same ones; what is
 * remembered is bounded.
 */
import { hash } from 'node:crypto'
import {
  DEFINITION_MAX_CHARS,
  LIST_TOOLS_MAX,
  type ListedTool,
  type ListPart,
  type ToolDefinition,
  type ToolList,
} from '../event/catalogue.ts'
import type { Call } from './call.ts'
import { canonicalText, isRecord } from './mcp/json.ts'
import { locate } from './mcp/splice.ts'
import { META } from './mcp/versions.ts'
import { nowUs, wallUs } from './telemetry/clock.ts'
import { type Redactor, redactCut } from './telemetry/redact.ts'

const AGAIN_US = 3_600e6
const LISTS_MAX = 1_000
const DEFINITIONS_MAX = 30_000
/** Longer answers are read after they have left: about 5 ms of reading. */
const AT_ONCE_CHARS = 65_536
/** How long a slice of reading afterwards may take, and how many answers may wait for it. */
const SLICE_US = 5_000
const WAITING_MAX = 4
const ID_CHARS = 32
/** As the events cut it, so that both meet. */
const NAME_MAX_CHARS = 256
const VERSION_MAX_CHARS = 100
/** What of an entry is the tool's definition; icons and `_meta` are for programs, and may differ each time. */
const MEMBERS = ['name', 'title', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const

type Json = Record<string, unknown>

/** An entry of a list as its server gave it, and the name the client got to see. */
export type Entry = { readonly server: string; readonly listed: string; readonly tool: Json }
/** One answer: who took part, also with nothing, and what was in it. */
export type Listing = { readonly servers: readonly string[]; readonly entries: readonly Entry[] }

/** One tool a step; returns the id of the list. */
type Steps = Generator<undefined, string>

/** Where lines go; false when they were not all written. */
export type Beside = { appendBeside(lines: readonly string[]): boolean }

export type CatalogueOptions = {
  redact: Redactor
  /** Whether the text of definitions is kept. */
  keepsText: boolean
}

const id = (text: string): string => hash('sha256', text).slice(0, ID_CHARS)

/** What a model reads of a tool under a name, in tokens (bytes/4): clients hand on name, description and input schema. */
export const tokensOf = (name: string, { description, inputSchema }: Json): number =>
  Math.ceil(Buffer.byteLength(JSON.stringify({ name, description, inputSchema })) / 4)

/** Puts a value at the young end of a map that holds at most `max`. */
function remember<V>(map: Map<string, V>, key: string, value: V, max: number): void {
  map.delete(key)
  if (map.size >= max) map.delete(map.keys().next().value!)
  map.set(key, value)
}

export class Catalogue {
  readonly #spool: Beside
  #options: CatalogueOptions
  /** Id of an answer by a hash of its text: what was read once is not read again. */
  readonly #read = new Map<string, string>()
  /** When lists and definitions were written, by what names them. */
  readonly #lists = new Map<string, number>()
  readonly #definitions = new Map<string, number>()
  /** Long answers that are still being read. */
  readonly #waiting = new Map<string, Steps>()
  /** What servers said their version is; they are few, for the config names them. */
  readonly #versions = new Map<string, string>()

  constructor(spool: Beside, options: CatalogueOptions) {
    this.#spool = spool
    this.#options = options
  }

  /** Definitions are masked by new rules from now on: they are written anew. */
  set options(options: CatalogueOptions) {
    this.#options = options
    this.#definitions.clear()
    this.#lists.clear()
  }

  /** How many lists and definitions are remembered. */
  get size(): { lists: number; definitions: number; waiting: number } {
    const lists = Math.max(this.#read.size, this.#lists.size)
    return { lists, definitions: this.#definitions.size, waiting: this.#waiting.size }
  }

  /** A server has said who it is. */
  introduced(server: string, info: unknown): void {
    const version = isRecord(info) ? info.version : undefined
    if (typeof version === 'string') this.#versions.set(server, version.slice(0, VERSION_MAX_CHARS))
  }

  /** The answer of one server to a call of its own endpoint, as JSON text. */
  answered(call: Call, text: string): void {
    if (call.outcome !== 'ok') return
    if (call.method === 'initialize') this.introduced(call.server, resultOf(text)?.serverInfo)
    if (call.method === 'tools/list') this.listed(call, text, () => this.#ownListing(call.server, text))
  }

  /**
   * Sets the call's list_id, and writes what its answer held unless that was done lately. `read` is only asked when this
   * text was not read before; null: there is no list in it, and the call keeps an empty id.
   */
  listed(call: Call, text: string, read: () => Listing | null): void {
    const span = locate(text, ['result', 'tools'])
    if (span === null) return
    // Only of the list: the id of the request, cursors and hints may be others each time.
    const key = id(`${call.endpoint.path}\n${call.server}\n${text.slice(span.start, span.end)}`)
    const known = this.#read.get(key)
    if (known !== undefined && this.#isFresh(this.#lists, known)) call.list_id = known
    else if (text.length <= AT_ONCE_CHARS) call.list_id = this.#atOnce(key, read, wallUs(call.received_us))
    else call.list_id = this.#afterwards(key, read, wallUs(call.received_us))
  }

  #atOnce(key: string, read: () => Listing | null, ts: number): string {
    return this.#finish(key, this.#steps(read, ts, ''))
  }

  /** Its id at once, the rest when there is time. An answer that comes while too many wait is read when it comes again. */
  #afterwards(key: string, read: () => Listing | null, ts: number): string {
    if (this.#waiting.has(key) || this.#waiting.size >= WAITING_MAX) return key
    const steps = this.#steps(read, ts, key)
    this.#waiting.set(key, steps)
    const slice = (): void => {
      if (!this.#waiting.has(key)) return
      const end_us = nowUs() + SLICE_US
      do {
        const step = steps.next()
        if (step.done) return this.#done(key, step.value)
      } while (nowUs() < end_us)
      setImmediate(slice)
    }
    setImmediate(slice)
    return key
  }

  #finish(key: string, steps: Steps): string {
    for (;;) {
      const step = steps.next()
      if (!step.done) continue
      this.#done(key, step.value)
      return step.value
    }
  }

  #done(key: string, list_id: string): void {
    this.#waiting.delete(key)
    if (list_id !== '') remember(this.#read, key, list_id, LISTS_MAX)
  }

  /** Reads what waits to be read, now: there will be no time later. */
  finish(): void {
    for (const [key, steps] of [...this.#waiting]) this.#finish(key, steps)
  }

  #ownListing(server: string, text: string): Listing | null {
    const result = resultOf(text)
    if (!Array.isArray(result?.tools)) return null
    if (isRecord(result._meta)) this.introduced(server, result._meta[META.serverInfo])
    const entries = result.tools.flatMap((tool: unknown) =>
      isRecord(tool) && typeof tool.name === 'string' ? [{ server, listed: tool.name, tool }] : [],
    )
    return { servers: [server], entries }
  }

  #isFresh(written: ReadonlyMap<string, number>, key: string): boolean {
    const at_us = written.get(key)
    return at_us !== undefined && nowUs() - at_us < AGAIN_US
  }

  /**
   * Reads a listing tool by tool, and at the end writes what is new of it. Returns its id (`given`, or by its content); ''
   * when it cannot be read: none in it, too many tools, or nested too deep to be written down again.
   */
  *#steps(read: () => Listing | null, ts: number, given: string): Steps {
    try {
      const listing = read()
      if (listing === null || listing.entries.length > LIST_TOOLS_MAX) return ''
      // Nobody took part: that is an answer too, and not one that was not read.
      const names = listing.servers.length > 0 ? listing.servers : ['']
      const tools = new Map<string, Map<string, ListedTool>>(names.map((server) => [server, new Map()]))
      const fresh = new Map<string, string>()
      for (const { server, listed, tool } of listing.entries) {
        const name = String(tool.name).slice(0, NAME_MAX_CHARS)
        const own = tools.get(server)
        // Of two tools under one name the client cannot mean the second.
        if (!own || own.has(name)) continue
        const text = canonicalText(definitionOf(tool))
        const digest = id(text)
        own.set(name, [name, digest, tokensOf(listed, tool)])
        const key = `${server}\n${digest}`
        if (!this.#isFresh(this.#definitions, key))
          fresh.set(key, JSON.stringify(this.#line(server, name, digest, tool, text, ts)))
        yield
      }
      const parts = [...tools].map(([server, own]) => partOf(server, [...own.values()]))
      return this.#write({ list: 1, ts, list_id: given || idOf(parts), parts }, fresh)
    } catch {
      return ''
    }
  }

  /** `fresh`: lines of definitions that were not written lately. */
  #write(list: ToolList, fresh: ReadonlyMap<string, string>): string {
    const { list_id } = list
    if (fresh.size === 0 && this.#isFresh(this.#lists, list_id)) return list_id
    if (this.#spool.appendBeside([...fresh.values(), JSON.stringify(list)])) {
      const now_us = nowUs()
      for (const key of fresh.keys()) remember(this.#definitions, key, now_us, DEFINITIONS_MAX)
      remember(this.#lists, list_id, now_us, LISTS_MAX)
    }
    return list_id
  }

  #line(server: string, name: string, digest: string, tool: Json, text: string, ts: number): ToolDefinition {
    const hints = isRecord(tool.annotations) ? tool.annotations : {}
    const read_only = hints.readOnlyHint === true
    return {
      definition: 1,
      ts,
      server,
      tool: name,
      hash: digest,
      tokens: tokensOf(name, tool),
      bytes: Buffer.byteLength(text),
      read_only,
      destructive: !read_only && hints.destructiveHint !== false,
      text: this.#options.keepsText ? redactCut(this.#options.redact, text, DEFINITION_MAX_CHARS) : '',
      server_version: this.#versions.get(server) ?? '',
    }
  }
}

/** What a tool is known by: of its definition alone. Throws RangeError when it is nested too deep. */
export const digestOf = (tool: Json): string => id(canonicalText(definitionOf(tool)))

const definitionOf = (tool: Json): Json =>
  Object.fromEntries(MEMBERS.flatMap((name) => (tool[name] === undefined ? [] : [[name, tool[name]]])))

const idOf = (parts: readonly ListPart[]): string =>
  id(
    parts
      .map((part) => part.part_id)
      .sort()
      .join('\n'),
  )

/** In the order of names: servers may list the same tools in another order. */
function partOf(server: string, tools: ListedTool[]): ListPart {
  tools.sort(([a], [b]) => (a < b ? -1 : 1))
  return { server, part_id: id(JSON.stringify([server, tools])), tools }
}

/** Null when it is none: of a large answer nobody may have tried yet. */
function resultOf(text: string): Json | null {
  try {
    const message: unknown = JSON.parse(text)
    return isRecord(message) && isRecord(message.result) ? message.result : null
  } catch {
    return null
  }
}
