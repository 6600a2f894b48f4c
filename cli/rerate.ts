/** `weir rerate`: rates the calls of some days anew, by the prices in force. Changed prices do that by themselves. */
import { setTimeout as sleep } from 'node:timers/promises'
import { run as askRatings } from '../collector/queries/ratings.ts'
import { loadSecrets } from '../supervisor/data-folder.ts'
import { usdText } from './export.ts'
import { findInstallation, STORE_USAGE } from './installation.ts'
import { openStore } from './store-client.ts'
import { clean } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir rerate --from DAY [--to DAY] [--json]

Rates the calls of these days (UTC) anew by the prices in force, writes what changed to the ledger and waits for it. Events are
not touched. When prices change, Weir does this for all calls by itself.

  --from DAY          first day, or moment: 2026-10-01
  --to DAY            first day that is left out; default: now
  --json              one JSON object
${STORE_USAGE.split('\n')[0]}`

const WAIT_MS = 1_000
const WAIT_MAX_MS = 3_600_000

function momentOf(name: string, text: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ms))
    throw new CliError(`${name} ${clean(text)} is not a day`, 'write for example 2026-10-01', 2)
  return ms
}

async function ask(address: string, token: string, from_ms: number, to_ms: number): Promise<number> {
  let answer: Response
  try {
    answer = await fetch(`${address}/v1/ratings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ from_ms, to_ms }),
    })
  } catch {
    throw new CliError(`the collector at ${address} does not answer`, 'start Weir with `weir up`')
  }
  const body = (await answer.json().catch(() => ({}))) as { rating?: number; error?: { message?: string } }
  if (!answer.ok || body.rating === undefined)
    throw new CliError(
      `the collector answered HTTP ${answer.status}: ${clean(body.error?.message ?? '')}`,
      'ask again in a moment; `weir doctor` looks for the cause',
    )
  return body.rating
}

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    config: { type: 'string', short: 'c' },
    from: { type: 'string' },
    to: { type: 'string' },
    json: { type: 'boolean' },
  })
  const given = values as { config?: string; from?: string; to?: string; json?: boolean }
  if (given.from === undefined) throw new CliError(`there is no --from\n\n${USAGE}`, '', 2)
  const from_ms = momentOf('--from', given.from)
  const to_ms = given.to === undefined ? Date.now() : momentOf('--to', given.to)
  if (from_ms >= to_ms) throw new CliError('--from is not before --to', 'swap them', 2)
  const installation = findInstallation(given)
  const { config, collector } = installation
  const token = config!.collector.token ?? loadSecrets(config!.data).intake
  const store = openStore(installation)
  try {
    const rating = await ask(collector, token, from_ms, to_ms)
    const end = performance.now() + WAIT_MAX_MS
    for (;;) {
      const [row] = await askRatings(store, { rating })
      if (row?.done) {
        const { calls, changed, delta_nano } = row
        const text = given.json
          ? JSON.stringify({ rating, calls, changed, delta_nano })
          : `${calls} calls looked at, ${changed} changed, ${usdText(BigInt(delta_nano))} USD`
        process.stdout.write(`${text}\n`)
        return 0
      }
      if (performance.now() > end)
        throw new CliError(
          `rating ${rating} is not done after an hour`,
          'it goes on; ask `SELECT * FROM ratings`',
        )
      await sleep(WAIT_MS)
    }
  } finally {
    await store.close()
  }
}
