/**
 * The lines of what servers list → rows of `tool_definitions` and `tool_lists`. Checks against event/catalogue.ts. Pure, like
 * everything of this room: a batch that comes again makes the same rows.
 */
import { isMoment, isText, RowError } from './row.ts'

type Line = Record<string, unknown>

const ID = /^[0-9a-f]{32}$/
const COUNT_MAX = 2 ** 32 - 1

const refused = (name: string): RowError => new RowError('field', `${name} has a value it cannot have`)

function read<T>(line: Line, name: string, isFit: (value: unknown) => value is T): T {
  const value = line[name]
  if (!isFit(value)) throw refused(name)
  return value
}
const isId = (value: unknown): value is string => isText(value) && ID.test(value)
const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= COUNT_MAX
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'

export const DEFINITION_COLUMNS = [
  'server',
  'tool',
  'hash',
  'tokens',
  'bytes',
  'read_only',
  'destructive',
  'first_seen',
  'last_seen',
  'latest',
]

/** Row for `tool_definitions`. Throws RowError. */
export function readDefinition(line: Line): unknown[] {
  if (line.definition !== 1) throw new RowError('version', 'definition version is not 1')
  const ts = read(line, 'ts', isMoment)
  return [
    read(line, 'server', isText),
    read(line, 'tool', isText),
    read(line, 'hash', isId),
    read(line, 'tokens', isCount),
    read(line, 'bytes', isCount),
    read(line, 'read_only', isFlag) ? 1 : 0,
    read(line, 'destructive', isFlag) ? 1 : 0,
    ts,
    ts,
    {
      ts,
      definition: read(line, 'text', isText),
      server_version: read(line, 'server_version', isText),
    },
  ]
}

export const LISTED_COLUMNS = [
  'list_id',
  'server',
  'part_id',
  'tool',
  'hash',
  'tokens',
  'first_seen',
  'last_seen',
]

/** Rows for `tool_lists`: one a tool, and one without a tool for a server that lists none. Throws RowError. */
export function readList(line: Line): unknown[][] {
  if (line.list !== 1) throw new RowError('version', 'list version is not 1')
  const ts = read(line, 'ts', isMoment)
  const list_id = read(line, 'list_id', isId)
  const { parts } = line
  if (!Array.isArray(parts)) throw refused('parts')
  return parts.flatMap((part: unknown) => {
    if (typeof part !== 'object' || part === null) throw refused('parts')
    const server = read(part as Line, 'server', isText)
    const part_id = read(part as Line, 'part_id', isId)
    const { tools } = part as Line
    if (!Array.isArray(tools)) throw refused('tools')
    const row = (tool: string, hash: string, tokens: number): unknown[] => [
      list_id,
      server,
      part_id,
      tool,
      hash,
      tokens,
      ts,
      ts,
    ]
    if (tools.length === 0) return [row('', '', 0)]
    return tools.map((listed: unknown) => {
      const [tool, hash, tokens] = Array.isArray(listed) ? listed : []
      if (!isText(tool) || !isId(hash) || !isCount(tokens)) throw refused('tools')
      return row(tool, hash, tokens)
    })
  })
}
