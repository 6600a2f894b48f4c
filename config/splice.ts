/**
 * A change to the text of weir.yaml: what is not changed keeps its bytes as far as can be, and every comment stays. The changed
 * document is printed whole by the YAML library, and only the part that changed is taken from there. Pure.
 * Invariant: what comes out reads as the changed document does, whatever was spliced; else it is not used.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  type Pair,
  type ParsedNode,
  parseDocument,
  visit,
} from 'yaml'
import { pathText } from './setting-path.ts'

export type EditPath = readonly (string | number)[]

/** One change. `append` adds to the list at `path`; `set` and `append` make what is missing above. */
export type Edit =
  | { readonly op: 'set'; readonly path: EditPath; readonly value: unknown }
  | { readonly op: 'append'; readonly path: EditPath; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: EditPath }

/** The change cannot be made to this file. Nothing was written. */
export class EditRefused extends Error {
  readonly fix: string
  /** `conflict`: the file is not what the asker knows, or says otherwise; `value`: what was given cannot be written. */
  readonly kind: 'read_only' | 'conflict' | 'value' | 'missing'
  constructor(kind: EditRefused['kind'], message: string, fix: string) {
    super(message)
    this.kind = kind
    this.fix = fix
  }
}

const REFERENCE = /\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}|^file:/
const isReference = (value: unknown): boolean => typeof value === 'string' && REFERENCE.test(value)

/** No setting is nested as deep. */
const DEPTH_MAX = 64

/** Whoever may write settings may not make Weir read its environment or any file: that would show them. */
function refuseReferences(value: unknown, path: EditPath): void {
  if (isReference(value))
    throw new EditRefused(
      'value',
      `${pathText(path)}: a value with \${…} or file: is only taken from the file itself`,
      'write the value itself, or edit the file',
    )
  if (typeof value !== 'object' || value === null) return
  if (path.length > DEPTH_MAX)
    throw new EditRefused('value', 'the value is nested too deep', 'write it as weir.yaml has it')
  for (const [key, inner] of Object.entries(value))
    refuseReferences(inner, [...path, Array.isArray(value) ? Number(key) : key])
}

function refuseAlias(node: unknown, path: EditPath): void {
  if (isAlias(node))
    throw new EditRefused(
      'conflict',
      `${pathText(path)} is written as *${(node as Alias).source}, which stands for something elsewhere in the file`,
      'edit the file by hand',
    )
}

type Container = Document.Parsed['contents']
const childOf = (node: unknown, key: string | number): unknown =>
  isMap(node) || isSeq(node) ? node.get(key, true) : undefined
const isEmpty = (node: unknown): boolean =>
  node === undefined || node === null || (isScalar(node) && node.value === null)

/** The collection at `path`, made where nothing stands. */
function collectionAt(document: Document, path: EditPath, isList: boolean): unknown {
  if (isEmpty(document.contents)) document.contents = document.createNode({}) as unknown as Container
  let node: unknown = document.contents
  path.forEach((key, i) => {
    const at = path.slice(0, i + 1)
    refuseAlias(node, path.slice(0, i))
    if (!isMap(node) && !isSeq(node))
      throw new EditRefused(
        'conflict',
        `${pathText(path.slice(0, i))} is not a mapping or list in the file`,
        'edit the file by hand',
      )
    let child = childOf(node, key)
    if (isEmpty(child)) {
      if (isSeq(node))
        throw new EditRefused('missing', `there is no ${pathText(at)}`, 'ask for what there is')
      child = document.createNode(i === path.length - 1 && isList ? [] : {})
      ;(node as { set(k: unknown, v: unknown): void }).set(key, child)
    }
    node = child
  })
  refuseAlias(node, path)
  return node
}

/** A new node: entries of lists on one line each, as one writes keys, rules and limits. */
function nodeOf(document: Document, value: unknown, path: EditPath): unknown {
  refuseReferences(value, path)
  const depth = path.length
  const node = document.createNode(value)
  if ((isMap(node) || isSeq(node)) && depth > 2) node.flow = true
  visit(node as never, {
    Seq(_key, seq, above) {
      if (above.length > 0) seq.flow = true
    },
    Map(_key, map, above) {
      if (above.length > 1) map.flow = true
    },
  })
  return node
}

const valueAt = (value: unknown, path: EditPath): unknown =>
  path.reduce((at: unknown, key) => (at as Record<string | number, unknown> | null | undefined)?.[key], value)

type Edited = { readonly document: Document; readonly resolved: unknown }

/** Puts `value` where `path` leads. What is equal already keeps its node, and with it comments and references. */
function assign(edited: Edited, parent: unknown, key: string | number, value: unknown, path: EditPath): void {
  const { document, resolved } = edited
  const there = childOf(parent, key)
  refuseAlias(there, path)
  const set = (): void =>
    (parent as { set(k: unknown, v: unknown): void }).set(key, nodeOf(document, value, path))
  if (isEmpty(there)) return set()
  if (isMap(there) && typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const wanted = value as Record<string, unknown>
    for (const pair of [...there.items]) {
      const name = String(isScalar(pair.key) ? pair.key.value : pair.key)
      if (!Object.hasOwn(wanted, name)) there.delete(pair.key)
    }
    for (const [name, inner] of Object.entries(wanted)) assign(edited, there, name, inner, [...path, name])
    return
  }
  if (isSeq(there) && Array.isArray(value)) {
    while (there.items.length > value.length) there.items.pop()
    value.forEach((inner, i) => {
      if (i < there.items.length) assign(edited, there, i, inner, [...path, i])
      else there.add(nodeOf(document, inner, [...path, i]))
    })
    return
  }
  if (isScalar(there)) {
    if (there.value === value) return
    const text = there.source ?? there.value
    if (isReference(text) && valueAt(resolved, path) === value) return
    if (isReference(text))
      throw new EditRefused(
        'conflict',
        `${pathText(path)} comes from ${String(text).startsWith('file:') ? 'another file' : 'the environment'}`,
        'change it there, or write the value itself into the file by hand',
      )
    if (typeof value !== 'object' || value === null) {
      refuseReferences(value, path)
      there.value = value
      delete there.source
      return
    }
  }
  set()
}

/** Makes the changes in the document. */
function apply(edited: Edited, edits: readonly Edit[]): void {
  const { document } = edited
  for (const edit of edits) {
    const { path } = edit
    const last = path.at(-1)
    if (last === undefined) throw new EditRefused('value', 'the whole file cannot be set', 'name a setting')
    if (edit.op === 'remove') {
      const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
      refuseAlias(parent, path.slice(0, -1))
      if (!(isMap(parent) || isSeq(parent)) || !parent.delete(last))
        throw new EditRefused('missing', `there is no ${pathText(path)} in the file`, 'ask for what there is')
      continue
    }
    if (edit.op === 'append') {
      const list = collectionAt(document, path, true)
      if (!isSeq(list))
        throw new EditRefused(
          'conflict',
          `${pathText(path)} is not a list in the file`,
          'edit the file by hand',
        )
      list.add(nodeOf(document, edit.value, [...path, list.items.length]))
    } else assign(edited, collectionAt(document, path.slice(0, -1), false), last, edit.value, path)
  }
}

/** Every reference of a text with the setting it stands at, or is led to by an alias; its place in a list does not count. */
export function referencesOf(text: string): Set<string> {
  const found = new Set<string>()
  const document = parse(text)
  const add = (above: readonly unknown[], value: unknown): void => {
    const at = above.flatMap((node) => (isPair(node) ? [isScalar(node.key) ? node.key.value : ''] : []))
    if (isReference(value)) found.add(JSON.stringify([at, value]))
  }
  visit(document, {
    Scalar(key, node, above) {
      if (key !== 'key') add(above, node.value)
    },
    Alias(_key, alias, above) {
      const target = alias.resolve(document)
      if (target) visit(target, { Scalar: (_inner, node) => add(above, node.value) })
    },
  })
  return found
}

/** The values of a text as written: references are not replaced. */
export const writtenValues = (text: string): unknown => parse(text).toJS() as unknown

const parse = (text: string): Document.Parsed =>
  parseDocument(text, { uniqueKeys: true, prettyErrors: false, keepSourceTokens: false })

/** A text and what it says: read once, for reading is most of the work with a long file. */
type Read = { readonly text: string; readonly document: Document.Parsed }
const readOf = (text: string): Read => ({ text, document: parse(text) })

function commentsOf(text: string): string[] {
  const found: string[] = []
  for (const token of new Lexer().lex(text)) if (token.startsWith('#')) found.push(token.trim())
  return found.sort()
}

const pairAt = (document: Document.Parsed, path: EditPath): Pair<ParsedNode, ParsedNode | null> | null => {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  if (!isMap(parent)) return null
  return (parent.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(path.at(-1))) ??
    null) as Pair<ParsedNode, ParsedNode | null> | null
}

/** From the first byte of a pair's key to the last of its value; what follows on its line is not part of it. */
function rangeOf({ text, document }: Read, path: EditPath): [number, number] | null {
  const pair = pairAt(document, path)
  const from = pair?.key?.range?.[0]
  const to = (pair?.value ?? pair?.key)?.range?.[1]
  if (from === undefined || to === undefined) return null
  return [from, from + text.slice(from, to).trimEnd().length]
}

/** The text with one pair taken from the printed document, or the pair added at the end of a text whose root is a block. */
function withPair(old: Read, printed: Read, path: EditPath): string | null {
  const to = rangeOf(printed, path)
  const from = rangeOf(old, path)
  const { contents } = old.document
  const pair = to && printed.text.slice(to[0], to[1])
  if (from && pair !== null) return old.text.slice(0, from[0]) + pair + old.text.slice(from[1])
  if (pair !== null && path.length === 1 && isMap(contents) && !contents.flow)
    return `${old.text.trimEnd()}\n\n${pair}\n`
  if (pair === null && from && path.length === 1)
    return `${old.text.slice(0, from[0])}${old.text.slice(from[1]).replace(/^[^\n]*\n/, '')}`
  return null
}

/** Spaces of the first indented line; two when there is none. */
const indentOf = (text: string): number =>
  Math.min(8, Math.max(2, /^( +)[^\s#-]/m.exec(text)?.[1]?.length ?? 2))

const commonPath = (edits: readonly Edit[]): EditPath => {
  let common: EditPath = edits[0]?.path ?? []
  for (const { path } of edits.slice(1)) {
    let n = 0
    while (n < common.length && n < path.length && common[n] === path[n]) n++
    common = common.slice(0, n)
  }
  return common
}

function isJson(text: string): boolean {
  if (!/^\s*\{/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/**
 * The text with `edits` made. Throws EditRefused when they cannot be; the text has to be one that reads without errors.
 * `resolved`: its values with references replaced, so that a value that is what a reference stands for keeps the reference.
 */
export function splice(text: string, edits: readonly Edit[], resolved: unknown = null): string {
  if (edits.length === 0) return text
  const document = parse(text)
  apply({ document: document as Document, resolved }, edits)
  let wanted: unknown
  try {
    wanted = document.toJS()
  } catch {
    throw new EditRefused(
      'conflict',
      'what shall go is used elsewhere in the file by an alias (*name)',
      'edit the file by hand',
    )
  }
  const old = readOf(text)
  if (isDeepStrictEqual(wanted, old.document.toJS())) return text
  if (isJson(text)) return `${JSON.stringify(wanted, null, indentOf(text))}\n`
  const isFlow = isMap(document.contents) && document.contents.flow === true
  const printed = readOf(document.toString({ lineWidth: isFlow ? 100 : 0, indent: indentOf(text) }))
  const comments = commentsOf(text)
  const isRemoval = edits.some(({ op }) => op === 'remove')
  const common = commonPath(edits)
  const tries = [common.slice(0, 2), common.slice(0, 1)]
    .filter((path) => path.length > 0)
    .map((path) => withPair(old, printed, path))
  for (const made of [...tries, printed.text]) {
    if (made === null) continue
    const { document: read } = made === printed.text ? printed : readOf(made)
    if (read.errors.length > 0 || !isDeepStrictEqual(read.toJS(), wanted)) continue
    // What is removed may take its comments along.
    if (isRemoval || isDeepStrictEqual(commentsOf(made), comments)) return made
  }
  throw new EditRefused(
    'conflict',
    'the file is written in a way that cannot be edited without losing something',
    'edit the file by hand',
  )
}
