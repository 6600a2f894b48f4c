/** A running installation together with what it recorded: a test sees the client's side and the event of the same call. */
import { fileURLToPath } from 'node:url'
import { startWeir, type Weir, type WeirOptions } from '../../support/installation.ts'
import { readStore, type StoreReader } from '../../support/store-reader.ts'
import { waitFor } from '../../support/wait.ts'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** A row of `calls`. */
export type Row = Record<string, unknown> & {
  kind: string
  method: string
  outcome: string
  owner: string
  server: string
  tool: string
  endpoint: string
  error_type: string
  http_status: number
  duration_us: number
}

export type Observed = {
  readonly weir: Weir
  readonly store: StoreReader
  /** Address of the proxy by the name `localhost`, without a path. */
  readonly url: string
  readonly port: number
  /** Rows that match, oldest first, when there are at least `count` and everything written so far is stored. */
  events(where: string, count?: number): Promise<Row[]>
  /** Resolves when every event written so far is in the store. */
  settled(): Promise<void>
  stop(): Promise<void>
}

export async function startObserved(
  config: Record<string, unknown>,
  more: Omit<WeirOptions, 'config'> = {},
): Promise<Observed> {
  const weir = await startWeir({ config, ...more })
  const store = readStore(weir.addresses.store)
  const port = Number(new URL(weir.addresses.proxy).port)
  const rows = (where: string): Promise<Row[]> =>
    store.rows<Row>(`SELECT * FROM calls WHERE ${where} ORDER BY ts`)
  const settled = async (): Promise<void> => {
    await waitFor('the spool is shipped', () => weir.spoolFiles().length === 0)
  }
  return {
    weir,
    store,
    url: `http://localhost:${port}`,
    port,
    settled,
    async events(where, count = 1) {
      let found: Row[] = []
      await waitFor(`${count} events where ${where}`, async () => {
        found = await rows(where)
        return found.length >= count
      }).catch((error: Error) => {
        const seen = found.map((r) => `${r.method} ${r.tool} ${r.outcome}`).join(', ')
        throw new Error(`${error.message}; found ${found.length}: ${seen}`, { cause: error.cause })
      })
      await settled()
      return rows(where)
    },
    async stop() {
      await store.close()
      await weir.stop()
      await weir.remove()
    },
  }
}
