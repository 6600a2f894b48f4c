/**
 * weir.yaml → Config. Reads the file, puts in ${ENV} and file: values, checks everything at once, and says for each
 * problem the exact place, what is wrong and what to write instead. The only reader of process.env.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, isAbsolute, resolve } from 'node:path'
import { type Document, isMap, isNode, isScalar, type Scalar, visit } from 'yaml'
import { checkAccess, knowsCallers } from './access-check.ts'
import { hostOf, isLoopback } from './address.ts'
import { checkAdmin } from './admin.ts'
import { checkAlerts } from './alerts-check.ts'
import { checkKeys } from './caller-keys.ts'
import { explain, explainYaml, flatten } from './explain.ts'
import { sha256Hex } from './key-text.ts'
import { checkLimits } from './limit-book.ts'
import { checkMoney } from './price-book.ts'
import { checkRules } from './rules.ts'
import { type Config, configSchema } from './schema.ts'
import { pathText } from './setting-path.ts'
import { readYaml, type YamlText } from './yaml-text.ts'

/** One problem of a config file. `line` and `column` count from 1. */
export type Problem = {
  file: string
  line: number
  column: number
  path: string
  message: string
  fix: string
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'))
    this.problems = problems
  }
}

export const formatProblem = (p: Problem): string =>
  `${p.file}:${p.line}:${p.column} ${p.path ? `${p.path}: ` : ''}${p.message}${p.fix ? `\n    fix: ${p.fix}` : ''}`

/** `sha256`: of the text. */
type Loaded = { config: Config; folder: string; warnings: string[]; sha256: string }
export type Env = Readonly<Record<string, string | undefined>>

/** Reads and checks a config file. Throws ConfigError with every problem found. */
export function loadConfig(file: string, env: Env = process.env): Loaded {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new ConfigError([
      {
        file,
        line: 1,
        column: 1,
        path: '',
        message: missing ? 'there is no such file' : `cannot be read: ${(error as Error).message}`,
        fix: missing ? 'write one with `weir init`, or name another with --config' : 'check its permissions',
      },
    ])
  }
  return parseConfig(text, file, env)
}

/** As loadConfig, from text. `file` names it in problems and is what relative paths start from. */
export function parseConfig(text: string, file: string, env: Env = process.env): Loaded {
  return configOf(readYaml(text), file, env).loaded
}

/** As parseConfig, of a text that was read, which stays as it is; with its values, references replaced, before the schema. */
export function configOf(
  read: YamlText,
  file: string,
  env: Env = process.env,
): { loaded: Loaded; values: unknown } {
  const { text, document, lines } = read
  const problems: Problem[] = []
  const add = (offset: number, path: string, message: string, fix: string): void => {
    const { line, col } = lines.linePos(offset)
    problems.push({ file, line: Math.max(1, line), column: Math.max(1, col), path, message, fix })
  }
  for (const error of document.errors) {
    const { message, fix } = explainYaml(error)
    add(error.pos[0], '', message, fix)
  }
  for (const key of read.repeated)
    add(key.range[0], '', 'this name is there twice', 'give each entry its own name')
  // What the library finds only when it resolves it, and then without a place, or not at all.
  visit(document, {
    Pair(_key, { key }) {
      // Objects know it already: what it names would be left out without a word.
      if (isScalar(key) && key.value === '__proto__')
        add(key.range?.[0] ?? 0, '__proto__', 'is no name for anything', 'choose another name')
    },
    Alias(_key, node) {
      if (node.resolve(document) === undefined)
        add(
          node.range?.[0] ?? 0,
          '',
          `there is no anchor &${node.source} before this`,
          'define the anchor first, or put a text that starts with * in quotes',
        )
    },
  })
  if (problems.length > 0) throw new ConfigError(problems)
  const folder = dirname(resolve(file))
  const values = substituted(document, folder, env, add)
  if (problems.length > 0) throw new ConfigError(problems)

  const parsed = configSchema.safeParse(values ?? {}, { reportInput: true })
  if (!parsed.success) {
    for (const issue of flatten(parsed.error.issues)) {
      const unknownKey = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
      const where = unknownKey === undefined ? issue.path : [...issue.path, unknownKey]
      const { message, fix } = explain(issue)
      add(offsetOf(document, where, unknownKey !== undefined), pathText(where), message, fix)
    }
    throw new ConfigError(problems)
  }
  const config = parsed.data
  const addAt = (path: PropertyKey[], message: string, fix: string): void =>
    add(offsetOf(document, path, true), pathText(path), message, fix)
  const warnings = [
    ...crossCheck(config, addAt),
    ...checkMoney(config, addAt),
    ...checkLimits(config, addAt),
    ...checkAccess(config, addAt),
    ...checkRules(config, addAt),
  ]
  if (problems.length > 0) throw new ConfigError(problems)
  config.instance ||= hostname()
  config.data = isAbsolute(config.data) ? config.data : resolve(folder, config.data)
  for (const server of Object.values(config.servers))
    if (server.command !== undefined) server.cwd = resolve(folder, server.cwd ?? '.')
  for (const { tls } of [...config.listen, config.admin])
    if (tls)
      for (const file of ['cert', 'key', 'client_ca', 'client_crl'] as const)
        if (tls[file] !== undefined) tls[file] = resolve(folder, tls[file])
  return { loaded: { config: deepFreeze(config), folder, warnings, sha256: sha256Hex(text) }, values }
}

type Add = (offset: number, path: string, message: string, fix: string) => void

/** The values with ${NAME}, ${NAME:-default} and whole values `file:path` replaced in every string value. */
function substituted(document: Document.Parsed, folder: string, env: Env, add: Add): unknown {
  const written = new Map<Scalar, string>()
  visit(document, {
    Scalar(key, node) {
      if (key === 'key' || typeof node.value !== 'string') return
      const offset = node.range?.[0] ?? 0
      let text = node.value.replace(
        /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
        (_whole, name, fallback) => {
          const value = env[name] ?? fallback
          if (value === undefined)
            add(
              offset,
              '',
              `the environment variable ${name} is not set`,
              `export ${name}=…, or write \${${name}:-default}`,
            )
          return value ?? ''
        },
      )
      if (text.startsWith('file:')) {
        const path = resolve(folder, text.slice('file:'.length))
        try {
          text = readFileSync(path, 'utf8').trim()
        } catch (error) {
          add(
            offset,
            '',
            `the file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`,
            'check the path after file: and its permissions',
          )
        }
      }
      if (text === node.value) return
      written.set(node, node.value)
      node.value = text
    },
  })
  try {
    return document.toJS()
  } catch {
    add(0, '', 'its aliases (*name) stand for more than can be read', 'write out what they stand for')
  } finally {
    for (const [node, value] of written) node.value = value
  }
}

/** Offset of the node at `path`, or of the nearest one above it. `key` asks for the key rather than its value. */
function offsetOf(document: Document.Parsed, path: readonly PropertyKey[], key: boolean): number {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const last = path[length - 1]
    if (isMap(parent)) {
      const pair = parent.items.find((p) => isScalar(p.key) && String(p.key.value) === String(last))
      if (pair) {
        const node = key || !isNode(pair.value) ? pair.key : pair.value
        return (isNode(node) && node.range?.[0]) || 0
      }
    }
    const node = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return node.range[0]
  }
  return 0
}

/** What one field alone cannot tell. Returns warnings; problems go to `add`. */
function crossCheck(
  config: Config,
  add: (path: PropertyKey[], message: string, fix: string) => void,
): string[] {
  const warnings: string[] = []
  checkKeys(config.callers, add)
  const lower = new Map<string, string>()
  for (const name of Object.keys(config.servers)) {
    const twin = lower.get(name.toLowerCase())
    if (twin !== undefined)
      add(['servers', name], `differs from \`${twin}\` only in case`, 'choose names that differ')
    lower.set(name.toLowerCase(), name)
  }
  const teams = new Set(Object.values(config.callers).map((caller) => caller.team))
  for (const team of Object.keys(config.context.teams))
    if (!teams.has(team)) warnings.push(`context.teams.${team}: no caller belongs to this team`)
  if (process.platform !== 'linux')
    for (const [name, server] of Object.entries(config.servers))
      if (server.memory_max_bytes !== undefined)
        warnings.push(`servers.${name}.memory_max_bytes has no effect here: memory is watched on Linux only`)
  warnings.push(...checkAdmin(config, add))
  checkListeners(config, add)
  if (config.store.url && config.store.database !== 'weir' && !/^\w+$/.test(config.store.database))
    add(['store', 'database'], 'is not an identifier', 'use letters, digits and _')
  warnings.push(...checkAlerts(config, add))
  if (Object.keys(config.servers).length === 0) warnings.push('no servers are configured: /mcp will be empty')
  return warnings
}

/** No place twice, and none open to the network without keys. */
function checkListeners(
  config: Config,
  add: (path: PropertyKey[], message: string, fix: string) => void,
): void {
  const { listen, console: collector, store, admin } = config
  const own = listen.map(({ address }, i): [PropertyKey[], string] => [
    listen.length === 1 ? ['listen'] : ['listen', i],
    address,
  ])
  const places: [PropertyKey[], string][] = [
    ...own,
    [['console', 'listen'], collector.listen],
    ...(store.url ? [] : [[['store', 'listen'], store.listen] as [PropertyKey[], string]]),
    ...(admin.listen ? [[['admin', 'listen'], admin.listen] as [PropertyKey[], string]] : []),
  ]
  const taken = new Map<string, string>()
  for (const [path, at] of places) {
    if (at.endsWith(':0')) continue
    const other = taken.get(at)
    if (other !== undefined)
      add(path, `${at} is already used by \`${other}\``, 'give each listener a port of its own')
    taken.set(at, pathText(path))
  }
  if (knowsCallers(config)) return
  for (const [path, at] of own)
    if (!isLoopback(hostOf(at)))
      add(
        path,
        'listening beyond this machine without `callers` would let anyone in',
        'add callers with keys, or auth.oauth, or listen on 127.0.0.1',
      )
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
