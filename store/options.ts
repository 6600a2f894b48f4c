/**
 * What the store is told at birth, and how the supervisor must start its process.
 * Imports nothing of the engine, so that anybody may read it at no cost.
 */

/** A name and password of the HTTP interface; unrelated to the engine's own users. */
export type Credentials = { user: string; password: string }

/** Options of the store process. They travel over IPC and so are plain data. */
export type StoreOptions = {
  /** Port 0 takes a free one. A Unix socket is not supported: Grafana and Python cannot dial it. */
  listen: { host: string; port: number }
  /** Directory of this store alone; created when missing. */
  data_path: string
  database: string
  /** Cap on what the engine allocates; resident memory peaks about 1.4 times higher. */
  memory_max_bytes: number
  /** Statements running at once, readers and writers together; at most `storeThreads - 4`. */
  statements_max: number
  /** May do everything. The password must not be empty. */
  writer: Credentials
  /** May only read, through the guard. `null` or an empty password: whoever sends no credentials is this reader. */
  reader: Credentials | null
  readers_max_seconds?: number
  readers_max_memory_bytes?: number
  readers_max_result_rows?: number
  /** Counted as the engine holds the rows, before they are formatted. */
  readers_max_result_bytes?: number
  /** Largest body of one insert, after decompression. */
  insert_max_bytes?: number
  /** Statements waiting for a free place, for readers and for writers each; more are refused with code 202. */
  queue_max?: number
  /** How long `drain` waits for running statements before it kills them. */
  drain_max_ms?: number
}

/** Every limit with a value. */
export type StoreLimits = Required<
  Pick<
    StoreOptions,
    | 'readers_max_seconds'
    | 'readers_max_memory_bytes'
    | 'readers_max_result_rows'
    | 'readers_max_result_bytes'
    | 'insert_max_bytes'
    | 'queue_max'
    | 'drain_max_ms'
  >
>

const MiB = 1024 * 1024

/** Size of the libuv pool: each running statement holds one thread of it, and files and DNS need some too. */
export const storeThreads = 16

/** How to fork the store: these flags, this environment and nothing else of the parent's environment. */
export const storeProcess = {
  // The first covers engines whose signal switch cannot be reached (see engine.ts); the second silences node:ffi.
  execArgv: ['--disable-wasm-trap-handler', '--disable-warning=ExperimentalWarning'],
  // UTC because clients render times in the zone that `timezone()` names, and the engine takes the process's.
  env: { UV_THREADPOOL_SIZE: String(storeThreads), TZ: 'UTC' },
}

/** Fills in what was left out. A reader gets at most a quarter of the engine's memory unless told otherwise. */
export function limitsOf(options: StoreOptions): StoreLimits {
  return {
    readers_max_seconds: options.readers_max_seconds ?? 60,
    readers_max_memory_bytes: options.readers_max_memory_bytes ?? Math.floor(options.memory_max_bytes / 4),
    readers_max_result_rows: options.readers_max_result_rows ?? 10_000_000,
    readers_max_result_bytes: options.readers_max_result_bytes ?? 2048 * MiB,
    insert_max_bytes: options.insert_max_bytes ?? 64 * MiB,
    queue_max: options.queue_max ?? 100,
    drain_max_ms: options.drain_max_ms ?? 10_000,
  }
}

/** Throws with a sentence that says what to change when the options cannot work. */
export function checkOptions(options: StoreOptions): void {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(options.database) || options.database === 'default')
    throw new Error(
      `store.database "${options.database}" must be a plain name, and not "default": that one shows the file system`,
    )
  if (options.statements_max < 2 || options.statements_max > storeThreads - 4)
    throw new Error(
      `store.statements_max is ${options.statements_max}; it must be between 2 and ${storeThreads - 4}`,
    )
  if (!options.writer.user || !options.writer.password)
    throw new Error('store.writer needs a user and a password that is not empty')
  if (options.reader && options.reader.user === options.writer.user)
    throw new Error(`store.reader and store.writer are both called "${options.writer.user}"; rename one`)
}

/** Options that are fixed once the engine runs. */
const fixed = ['data_path', 'database', 'memory_max_bytes', 'statements_max', 'queue_max'] as const

/** Throws when going from `now` to `next` takes a new process. */
export function checkReload(now: StoreOptions, next: StoreOptions): void {
  checkOptions(next)
  const changed: string[] = fixed.filter((name) => now[name] !== next[name])
  if (now.listen.host !== next.listen.host || now.listen.port !== next.listen.port) changed.push('listen')
  if (changed.length > 0) throw new Error(`restart the store to change ${changed.join(', ')}`)
}
