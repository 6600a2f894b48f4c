/** What the embedded store is started with. Pure: passwords and address come as arguments. */
import { join } from 'node:path'
import { hostOf, portOf } from '../config/address.ts'
import type { Config } from '../config/schema.ts'
import type { StoreOptions } from '../store/options.ts'

const STATEMENTS_MAX = 12

export const storeOptions = (
  { data, store }: Config,
  listen: string,
  writer_password: string,
): StoreOptions => ({
  listen: { host: hostOf(listen), port: portOf(listen) },
  data_path: join(data, 'clickhouse'),
  database: 'weir',
  memory_max_bytes: store.memory_max_bytes,
  statements_max: STATEMENTS_MAX,
  writer: { user: 'weir', password: writer_password },
  reader: { user: 'reader', password: store.reader_password },
})
