/** `weir key list`: what weir.yaml says of keys, and from the store when each was last used. Without a store the rest is shown. */
import { run as readUse } from '../collector/queries/key-use.ts'
import { expiryMs, keyId } from '../config/key-text.ts'
import type { Config } from '../config/schema.ts'
import { findInstallation } from './installation.ts'
import { openStore } from './store-client.ts'
import { type Column, table } from './table.ts'
import { clean, jsonLine, print, screen } from './terminal.ts'
import { CliError } from './verb.ts'

const DAY_MS = 86_400_000
const ASK_MS = 10_000

const COLUMNS: readonly Column[] = [
  { head: 'key', min: 14, max: 48, rank: 0 },
  { head: 'state', min: 7, rank: 1 },
  { head: 'expires', min: 10, rank: 2 },
  { head: 'last used', min: 9, rank: 1 },
  { head: 'for', min: 8, max: 30, rank: 4 },
  { head: 'scope', min: 8, max: 40, rank: 3 },
  { head: 'note', min: 6, max: 40, rank: 5 },
]

type Listed = {
  caller: string
  id: string
  state: 'valid' | 'expired'
  created: string | null
  expires: string | null
  /** ISO 8601; null: not in the calls that are kept. */
  last_used: string | null
  user: string | null
  app: string | null
  scope: readonly string[] | null
  note: string | null
}

const stateAt = (key: { expires?: string | undefined }, now_ms: number): Listed['state'] =>
  expiryMs(key) <= now_ms ? 'expired' : 'valid'

function keysOf({ callers }: Config, lastUse: ReadonlyMap<string, number>, now_ms: number): Listed[] {
  return Object.entries(callers).flatMap(([caller, { keys }]) =>
    keys.map((key): Listed => {
      const last_ms = lastUse.get(`${caller}#${keyId(key)}`)
      return {
        caller,
        id: keyId(key),
        state: stateAt(key, now_ms),
        created: key.created ?? null,
        expires: key.expires ?? null,
        last_used: last_ms === undefined ? null : new Date(last_ms).toISOString(),
        user: key.user ?? null,
        app: key.app ?? null,
        scope: key.scope ?? null,
        note: key.note ?? null,
      }
    }),
  )
}

/** Principal → milliseconds of its last call among those that are kept; null when the store does not answer. */
async function lastUses(given: { config?: string }, config: Config): Promise<Map<string, number> | null> {
  const store = openStore(findInstallation(given), ASK_MS)
  try {
    const rows = await readUse(store, { from_ms: Date.now() - config.retention.calls_days * DAY_MS })
    return new Map(rows.map(({ principal, last_ms }) => [principal, last_ms]))
  } catch (error) {
    if (error instanceof CliError) return null
    throw error
  } finally {
    await store.close()
  }
}

export async function listKeys(given: { config?: string; json?: boolean }, only?: string): Promise<void> {
  const { config } = findInstallation({ config: given.config ?? 'weir.yaml' })
  if (config === null) return
  if (only !== undefined && !Object.hasOwn(config.callers, only))
    throw new CliError(`there is no caller ${clean(only)}`, '`weir key list` shows them all')
  const uses = await lastUses({ config: given.config ?? 'weir.yaml' }, config)
  const now_ms = Date.now()
  const keys = keysOf(config, uses ?? new Map(), now_ms).filter(
    ({ caller }) => only === undefined || caller === only,
  )
  const tokens = only === undefined ? config.admin.tokens : []
  if (given.json) {
    const admin = tokens.map(({ sha256: _, ...token }) => ({
      admin: token.name,
      ...token,
      state: stateAt(token, now_ms),
    }))
    return print([...keys, ...admin].map((row) => jsonLine(row)).join(''))
  }
  const rows = [
    ...keys.map((key) => [
      clean(`${key.caller}#${key.id}`),
      key.state,
      key.expires ?? 'never',
      uses === null
        ? 'unknown'
        : key.last_used === null
          ? 'never'
          : `${key.last_used.slice(0, 16).replace('T', ' ')}Z`,
      clean(key.user !== null ? `user ${key.user}` : key.app !== null ? `app ${key.app}` : ''),
      clean(key.scope?.join(' ') ?? 'everything'),
      clean(key.note ?? ''),
    ]),
    ...tokens.map((token) => [
      clean(token.name),
      stateAt(token, now_ms),
      token.expires ?? 'never',
      '',
      'admin API',
      token.may,
      clean(token.note ?? ''),
    ]),
  ]
  if (rows.length === 0)
    return print(
      'there are no keys: every program on this machine may call, as `local`. weir key create <caller>\n',
    )
  await print(`${table(COLUMNS, rows, screen()).join('\n')}\n`)
  if (uses === null) process.stderr.write('the store does not answer: last uses are unknown\n')
}
