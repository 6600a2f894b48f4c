/** `weir query`: SQL to the store, read-only; the answer as it comes. */
import type { Readable } from 'node:stream'
import { text as readAll } from 'node:stream/consumers'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore } from './store-client.ts'
import { clean, cleanBlock, endWithReader, print, screen } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir query "<sql>" [--format FORMAT] [--json] [--param name=value ...]

Asks the store, read-only. \`-\` instead of the SQL reads it from standard input.

  --format FORMAT     any ClickHouse format (default: PrettyCompact on a terminal, TabSeparatedWithNames in a pipe)
  --json              one JSON object a line
  --param name=value  value of {name:Type} in the SQL; may be given several times
${STORE_USAGE}

  weir query "SELECT server, tool, count() FROM v_calls GROUP BY ALL ORDER BY 3 DESC"
  weir query "SELECT * FROM calls WHERE trace_id = {id:String} FORMAT Vertical" --param id=3fdf...`

const QUESTION_MAX_MS = 3_600_000
const BINARY =
  /^(Native|RowBinary.*|Parquet.*|Arrow.*|ORC|Avro|Protobuf.*|MsgPack|CapnProto|BSONEachRow|Npy|Buffers)$/i

/** A stream that broke off after its first byte ends in an error between these marks; the tag came in a header. */
const MARK = '\r\n__exception__\r\n'

function paramsOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((word) => {
      const at = word.indexOf('=')
      if (!/^[A-Za-z_]\w*=/.test(word))
        throw new CliError(
          `--param ${word} is not name=value`,
          'write for example --param id=3fdfe4b651cc40eb',
          2,
        )
      return [word.slice(0, at), word.slice(at + 1)]
    }),
  )
}

async function statement(word: string | undefined): Promise<string> {
  if (word === undefined) throw new CliError(`there is no SQL to ask\n\n${USAGE}`, '', 2)
  const sql = (word === '-' ? await readAll(process.stdin) : word).trim()
  if (sql === '')
    throw new CliError(
      word === '-' ? 'standard input holds no SQL' : 'the SQL is empty',
      'try: weir query "SHOW TABLES"',
      2,
    )
  return sql
}

/** Passes the bytes on; what follows the error mark is returned instead. '' = the answer is whole. */
async function pass(stream: Readable, tag: string, write: (bytes: Buffer) => Promise<void>): Promise<string> {
  const mark = Buffer.from(tag ? `${MARK}${tag}\r\n` : MARK)
  let held: Buffer = Buffer.alloc(0)
  let isBroken = false
  for await (const chunk of stream) {
    held = Buffer.concat([held, chunk as Buffer])
    if (isBroken) continue
    const at = held.indexOf(mark)
    isBroken = at >= 0
    const ready = isBroken ? at : Math.max(0, held.length - mark.length + 1)
    await write(held.subarray(0, ready))
    held = held.subarray(ready)
  }
  if (!isBroken) {
    await write(held)
    return ''
  }
  const words = held.subarray(mark.length).toString().split(MARK)[0] ?? ''
  return clean(tag ? words.replace(new RegExp(`\\s*\\d+ ${tag}\\s*$`), '') : words).trim()
}

/** Bytes for a terminal: whole characters only, nothing it would obey. */
function terminalWriter(): (bytes: Buffer) => Promise<void> {
  const decoder = new TextDecoder()
  let held = ''
  return (bytes) => {
    const whole = held + decoder.decode(bytes, { stream: true })
    // An escape sequence may be cut in two by the chunk: keep the last line's start of one for the next round.
    const open = bytes.length === 0 ? -1 : whole.lastIndexOf('\u001b')
    const end = open >= 0 && whole.length - open < 64 ? open : whole.length
    held = whole.slice(end)
    return print(cleanBlock(whole.slice(0, end)))
  }
}

export const verb: Verb = async (argv) => {
  const { values, positionals } = readArgs(
    USAGE,
    argv,
    {
      ...STORE_OPTIONS,
      format: { type: 'string', short: 'f' },
      json: { type: 'boolean' },
      param: { type: 'string', multiple: true },
    },
    1,
  )
  const given = values as {
    format?: string
    json?: boolean
    param?: string[]
    config?: string
    url?: string
    user?: string
    password?: string
  }
  if (given.json && given.format)
    throw new CliError('--json and --format exclude each other', '--json is --format JSONEachRow', 2)
  const sql = await statement(positionals[0])
  const params = paramsOf(given.param ?? [])
  const { isTTY } = screen()
  const format = given.json
    ? 'JSONEachRow'
    : (given.format ?? (isTTY ? 'PrettyCompact' : 'TabSeparatedWithNames'))
  const refuseBinary = (name: string): void => {
    if (isTTY && BINARY.test(name))
      throw new CliError(
        `${clean(name)} is a binary format, and this is a terminal`,
        `send it to a file: weir query … --format ${clean(name)} > answer`,
      )
  }
  refuseBinary(format)
  const installation = findInstallation(given)
  const store = openStore(installation, QUESTION_MAX_MS)
  endWithReader()
  try {
    const { stream, headers } = await store.raw(sql, format, params, { output_format_pretty_color: 0 })
    stream.on('error', () => {})
    refuseBinary(String(headers['x-clickhouse-format'] ?? ''))
    const write = isTTY
      ? terminalWriter()
      : (bytes: Buffer) =>
          bytes.length > 0
            ? new Promise<void>((done) => process.stdout.write(bytes, () => done()))
            : Promise.resolve()
    let broken: string
    try {
      broken = await pass(stream, String(headers['x-clickhouse-exception-tag'] ?? ''), write)
    } catch (error) {
      throw new CliError(
        `the answer broke off: ${clean((error as Error).message)}`,
        'the store ended in the middle of it; ask again',
      )
    }
    if (isTTY) await write(Buffer.alloc(0))
    if (broken) throw new CliError(`the answer broke off: ${broken}`)
    return 0
  } finally {
    await store.close()
  }
}
