/**
 * A change to the text of weir.yaml: what is not changed keeps its bytes as far as can be, and every comment stays. The part
 * that changed is printed by the YAML library; the whole document only where a part does not do. Pure.
 * Invariant: what comes out reads as the changed document does, whatever was spliced; else it is not used.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  type Alias,
  Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  Pair,
  type ParsedNode,
  type ToStringOptions,
  visit,
  YAMLMap,
} from 'yaml'
import { pathText } from './setting-path.ts'
import { isSound, readYaml, type YamlText } from './yaml-text.ts'

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
  const { document } = readYaml(text)
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
export const writtenValues = (text: string): unknown => readYaml(text).document.toJS() as unknown

function commentsOf(text: string): string[] {
  const found: string[] = []
  for (const token of new Lexer().lex(text)) if (token.startsWith('#')) found.push(token.trim())
  return found.sort()
}

type AnyPair = Pair<ParsedNode, ParsedNode | null>
function pairAt(document: Document.Parsed, path: EditPath): AnyPair | null {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  if (!isMap(parent)) return null
  const found = parent.items.find(
    ({ key }) => String(isScalar(key) ? key.value : key) === String(path.at(-1)),
  )
  return (found ?? null) as AnyPair | null
}

type Range = readonly [number, number]
/** From the first byte of a pair's key to the last of its value; what follows on its line is not part of it. */
function rangeOf({ text, document }: YamlText, path: EditPath): Range | null {
  const pair = pairAt(document, path)
  const from = pair?.key?.range?.[0]
  const to = (pair?.value ?? pair?.key)?.range?.[1]
  if (from === undefined || to === undefined) return null
  return [from, from + text.slice(from, to).trimEnd().length]
}

/** The pair at `path` as it is printed where it stands, alone in the collections above it. Null when there is none, or it needs others. */
function printedPair(document: Document.Parsed, path: EditPath, options: ToStringOptions): string | null {
  const alone = new Document()
  let into: YAMLMap | null = null
  for (let length = 1; length <= path.length; length++) {
    const pair = pairAt(document, path.slice(0, length))
    if (!pair) return null
    const above: unknown =
      length === 1 ? document.contents : pairAt(document, path.slice(0, length - 1))!.value
    const map = new YAMLMap()
    map.flow = isMap(above) && above.flow === true
    if (into) (into.items[0] as Pair).value = map
    else alone.contents = map as unknown as typeof alone.contents
    map.items.push(length === path.length ? pair : new Pair(pair.key, null))
    into = map
  }
  try {
    const printed = readYaml(alone.toString(options))
    const range = rangeOf(printed, path)
    return range && printed.text.slice(...range)
  } catch {
    // An alias of something elsewhere.
    return null
  }
}

/** The text with a pair in the place of what stood there, or added at its end. Null when it can be neither. */
function withPair(text: string, at: Range | null, pair: string | null, mayAdd: boolean): string | null {
  if (pair === null) return null
  if (at) return text.slice(0, at[0]) + pair + text.slice(at[1])
  return mayAdd ? `${text.trimEnd()}\n\n${pair}\n` : null
}

/** The text without what stood there, and without the rest of its line. */
const without = (text: string, at: Range): string =>
  text.slice(0, at[0]) + text.slice(at[1]).replace(/^[^\n]*\n/, '')

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
 * The text with `edits` made. Throws EditRefused when they cannot be; the text has to be one that reads without errors, and its
 * reading is used up. `resolved`: its values with references replaced, so that a value that is what a reference stands for keeps
 * the reference.
 */
export function splice(old: YamlText, edits: readonly Edit[], resolved: unknown = null): YamlText {
  if (edits.length === 0) return old
  const { text, document } = old
  const before: unknown = document.toJS()
  const common = commonPath(edits)
  // Found before anything moves.
  const places = [common.slice(0, 2), common.slice(0, 1)]
    .filter((path) => path.length > 0)
    .map((path) => ({ path, range: rangeOf(old, path) }))
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
  if (isDeepStrictEqual(wanted, before)) return readYaml(text)
  if (isJson(text)) return readYaml(`${JSON.stringify(wanted, null, indentOf(text))}\n`)
  const isFlow = isMap(document.contents) && document.contents.flow === true
  const options = { lineWidth: isFlow ? 100 : 0, indent: indentOf(text) }
  const isRemoval = edits.some(({ op }) => op === 'remove')
  function* candidates(): Generator<string | null> {
    for (const { path, range } of places) {
      const isGone = pairAt(document, path) === null
      if (!isGone)
        yield withPair(text, range, printedPair(document, path, options), path.length === 1 && !isFlow)
      else if (range && path.length === 1) yield without(text, range)
    }
    yield document.toString(options)
  }
  for (const made of candidates()) {
    if (made === null) continue
    const read = readYaml(made)
    if (!isSound(read) || !isDeepStrictEqual(read.document.toJS(), wanted)) continue
    // What is removed may take its comments along.
    if (isRemoval || isDeepStrictEqual(commentsOf(made), commentsOf(text))) return read
  }
  throw new EditRefused(
    'conflict',
    'the file is written in a way that cannot be edited without losing something',
    'edit the file by hand',
  )
}
