/**
 * The store process. Started by the supervisor with the flags and environment of `storeProcess`; options come over IPC.
 */
import { serveChild } from '../supervisor/link.ts'
import type { StoreOptions } from './options.ts'
import { openStore, type Store } from './store.ts'

let store: Store | null = null

serveChild<StoreOptions>({
  async start(options) {
    store = await openStore(options)
    return store.address
  },
  async drain() {
    await store?.drain()
  },
  async reload(options) {
    store?.reload(options)
  },
  async beat() {
    await store?.beat()
  },
  answer: (question) => (question === 'metrics' ? store?.snapshot() : undefined),
})
