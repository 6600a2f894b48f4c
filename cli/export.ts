/** `weir export focus`: a month of costs as FOCUS 1.2 rows, for finance. */
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { run as askTotal, showbackSql, sql } from '../collector/queries/focus.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore } from './store-client.ts'
import { clean, endWithReader, screen } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir export focus --month YYYY-MM [--format csv|parquet] [--out FILE] [--showback]

Costs of a month (UTC) as FOCUS 1.2 rows: by day, team, project, caller, agent, tool, tags and price, and the shares of
monthly prices. The rows add up to the console's figure, to the nano-dollar. Calls without a price are in x_UnpricedCalls.

  --month YYYY-MM     which month
  --format FORMAT     csv (default) or parquet
  --out FILE          write it there; default: standard output
  --showback          without the columns that only an invoice has
${STORE_USAGE}`

const EXPORT_MAX_MS = 3_600_000
const FORMATS: Readonly<Record<string, string>> = { csv: 'CSVWithNames', parquet: 'Parquet' }

function monthOf(text: string | undefined): string {
  if (text === undefined)
    throw new CliError(`there is no --month\n\n${USAGE}`, 'write for example --month 2026-10', 2)
  if (!/^20\d\d-(0[1-9]|1[0-2])$/.test(text))
    throw new CliError(`--month ${clean(text)} is not a month`, 'write for example --month 2026-10', 2)
  return `${text}-01`
}

/** Nano-dollars as dollars with all their digits. */
export function usdText(nano: bigint): string {
  const digits = (nano < 0n ? -nano : nano).toString().padStart(10, '0')
  return `${nano < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

type Given = {
  month?: string
  format: string
  out?: string
  showback?: boolean
  config?: string
  url?: string
  user?: string
  password?: string
}

export const verb: Verb = async (argv) => {
  const { values, positionals } = readArgs(
    USAGE,
    argv,
    {
      ...STORE_OPTIONS,
      month: { type: 'string' },
      format: { type: 'string', short: 'f', default: 'csv' },
      out: { type: 'string', short: 'o' },
      showback: { type: 'boolean' },
    },
    1,
  )
  const given = values as Given
  if (positionals[0] !== 'focus')
    throw new CliError(
      `there is no export "${clean(positionals[0] ?? '')}"\n\n${USAGE}`,
      'write weir export focus',
      2,
    )
  const month = monthOf(given.month)
  const format = FORMATS[given.format]
  if (!format)
    throw new CliError(
      `--format ${clean(given.format)} is not a format of exports`,
      'write csv or parquet',
      2,
    )
  if (format === 'Parquet' && given.out === undefined && screen().isTTY)
    throw new CliError('Parquet is a binary format, and this is a terminal', 'name a file with --out')
  const installation = findInstallation(given)
  const store = openStore(installation, EXPORT_MAX_MS)
  if (given.out === undefined) endWithReader()
  try {
    const account = installation.config?.instance || 'weir'
    const total = await askTotal(store, { month })
    const { stream } = await store.raw(
      given.showback ? showbackSql : sql,
      format,
      { month, account },
      {
        format_csv_null_representation: '',
        date_time_output_format: 'iso',
      },
    )
    if (given.out === undefined) await pipeline(stream, process.stdout, { end: false })
    else {
      // A file that is there is whole: a broken answer leaves the one before.
      const part = `${given.out}.part`
      try {
        await pipeline(stream, createWriteStream(part))
        await rename(part, given.out)
      } catch (error) {
        await rm(part, { force: true })
        throw new CliError(`the export was not written: ${clean((error as Error).message)}`, 'try again')
      }
    }
    const sum = BigInt(total.used_nano) + BigInt(total.fixed_nano)
    process.stderr.write(
      `${given.month}: ${usdText(sum)} USD${Number(total.unpriced) > 0 ? `, and ${total.unpriced} calls without a price (x_UnpricedCalls)` : ''}\n`,
    )
    return 0
  } finally {
    await store.close()
  }
}
