/**
 * One proxy worker without supervisor, collector and store, for taking its cost apart: parts of the real source can be
 * replaced while it loads, so that a stage is measured by the difference without a switch in the product.
 * `node worker-alone.ts <file with an Alone as JSON>`; prints `listening <port>`.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Patch, patched } from './support/patches.ts'

/** What a worker alone is given. */
export type Alone = { yaml: string; folder: string; patches: readonly Patch[] }

const { yaml, folder, patches } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Alone
const root = fileURLToPath(new URL('..', import.meta.url))

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    const mine = patches.filter((p) => url === new URL(p.file, `file://${root}`).href)
    return mine.length === 0 ? loaded : { ...loaded, source: patched(String(loaded.source), mine) }
  },
})

const { parseConfig } = await import('../config/load.ts')
const { Worker } = await import('../proxy/wire.ts')

const { config } = parseConfig(yaml, join(folder, 'weir.yaml'))
const spool_folder = join(folder, 'spool')
const worker = new Worker(
  {
    config: { ...config, listen: [{ address: '127.0.0.1:0', trace: {} }] },
    slot: 'w1',
    worker_id: '0123456789abcdef',
    spool_folder,
    run_folder: folder,
    host_socket: join(folder, 'host.sock'),
    secrets: { session: 'a'.repeat(64), hash: 'b'.repeat(64) },
  },
  {
    tell: (topic) => {
      if (topic !== 'sealed') return
      // Nobody ships: what is sealed has been measured and goes.
      for (const file of readdirSync(spool_folder))
        if (file.endsWith('.ndjson')) rmSync(join(spool_folder, file))
    },
    askOthers: async () => false,
    limits: { ask: () => Promise.reject(new Error('nobody keeps counts')), settle: () => {} },
  },
)
const [port] = await worker.listen()
process.stdout.write(`listening ${port}\n`)
process.on('SIGTERM', () => process.exit(0))
