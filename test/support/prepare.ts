/** Before all tests: makes the store they begin with, when there is none of this schema yet. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { migrate } from '../../collector/schema/migrate.ts'
import { openStore } from '../../collector/sink/store.ts'
import { collectorOptions, startStore } from '../collector/support/processes.ts'
import { ENGINE, preparedPath } from './prepared-store.ts'

export async function setup(): Promise<void> {
  const path = preparedPath()
  if (existsSync(path)) return
  mkdirSync(dirname(path), { recursive: true })
  const folder = mkdtempSync(join(dirname(path), 'making-'))
  const running = await startStore(folder, { isFresh: true })
  const { store: to, retention } = collectorOptions(running.address)
  const store = openStore(to)
  await migrate({ store, retention, log: () => {} })
  await store.close()
  await running.drain()
  try {
    renameSync(join(folder, ENGINE), path)
  } catch (error) {
    // Another run of the tests was faster.
    if (!existsSync(path)) throw error
  }
  rmSync(folder, { recursive: true })
}
