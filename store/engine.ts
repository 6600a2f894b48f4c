/**
 * The embedded engine: opens it once, hands out short-lived sessions. The only file that imports chdb.
 * Uses the addon below chdb's `Session`: that class holds every closed session open until all statements of the process
 * are done, and its streams run the planner (scalar subqueries included) on the event loop.
 * Invariant: a session is closed only after its last statement has settled; closing earlier aborts the engine.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

type Connection = { readonly connection: unique symbol }

/** What we use of the addon; `rowsRead` and `bytesRead` count what came back, not what was scanned. */
type Addon = {
  CreateConnection(path: string, args: string[]): Connection
  CloseConnection(connection: Connection): void
  QueryAsyncConnection(connection: Connection, sql: string, format: string): Promise<Result>
  InsertRawAsyncConnection(
    connection: Connection,
    sql: string,
    data: Buffer,
    countLines: boolean,
  ): Promise<Written>
  DurableClassifyAsync(connection: Connection, sql: string, database: string): Promise<Classified>
}

export type Result = { bytes: Buffer; elapsed: number; rowsRead: number; bytesRead: number }
export type Written = { rowsWritten: number; bytesWritten: number; elapsed: number }
/** `queryClass`: 0 reads, 1 changes data or tables, 2 changes users and the like, 3 controls, 4 cannot be parsed. */
export type Classified = { statementCount: number; queryClass: number }

/** One connection with settings, role and parameters of its own. Runs one statement at a time. */
export type Session = {
  run(sql: string, format?: string): Promise<Result>
  /** Runs an INSERT whose data the statement names; answers how many rows were written, views included. */
  insert(sql: string): Promise<Written>
  /** What the engine's parser makes of `sql`; nothing is run. */
  classify(sql: string): Promise<Classified>
  close(): void
}

export type Engine = { version: string; open(): Session; close(): void }

const require = createRequire(import.meta.url)

function loadAddon(): Addon {
  // Not an export of the package: pinned with its version in package.json, hence the check of what we use.
  const loader = join(dirname(require.resolve('chdb/package.json')), 'dist', 'loader.js')
  const addon = (require(loader) as { loadNative(): Addon }).loadNative()
  for (const name of [
    'CreateConnection',
    'CloseConnection',
    'QueryAsyncConnection',
    'InsertRawAsyncConnection',
    'DurableClassifyAsync',
  ] as const)
    if (typeof addon[name] !== 'function')
      throw new Error(`chdb has no ${name}; install the version package.json pins`)
  return addon
}

/**
 * Keeps the engine from taking over SIGSEGV and its like: its handler parks the process for five minutes
 * instead of letting it die, and turns a WebAssembly trap into such a death.
 */
async function keepSignals(): Promise<boolean> {
  try {
    const { dlopen } = await import('node:ffi')
    const { libchdbPath } = require('chdb/libchdb') as { libchdbPath(): string }
    const library = dlopen(libchdbPath(), {
      chdb_set_signal_handlers_enabled: { return: 'void', arguments: ['int32'] },
    })
    library.functions.chdb_set_signal_handlers_enabled(0)
    return true
  } catch (error) {
    process.stderr.write(
      `store: the engine keeps its own signal handlers, a crash may hang until the supervisor kills it (${error instanceof Error ? error.message : error})\n`,
    )
    return false
  }
}

/** Says who holds the directory, for the engine tells only its standard error. */
function openFailure(path: string, error: unknown): Error {
  let status = ''
  try {
    status = existsSync(join(path, 'status')) ? readFileSync(join(path, 'status'), 'utf8') : ''
  } catch {
    // Unreadable is as good as absent: the sentence below then names other causes.
  }
  const pid = /PID: (\d+)/.exec(status)?.[1]
  const alive = pid !== undefined && pid !== String(process.pid) && isAlive(Number(pid))
  const why = alive
    ? `process ${pid} already has it open; stop that process or set another "data" directory`
    : 'check that the directory can be written, that the disk is not full, and that no other process has it open'
  return new Error(`the store cannot open ${path}: ${why}`, { cause: error })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Opens the engine on `path`. `serverArgs` count only here: one engine a process, for its whole life. */
export async function openEngine(path: string, serverArgs: string[]): Promise<Engine> {
  const addon = loadAddon()
  await keepSignals()
  const connect = (args: string[]): Connection => addon.CreateConnection(path, ['--async_insert=0', ...args])
  let boot: Connection
  try {
    boot = connect(serverArgs)
  } catch (error) {
    throw openFailure(path, error)
  }
  const version = (await addon.QueryAsyncConnection(boot, 'SELECT version()', 'TSVRaw')).bytes
    .toString()
    .trim()
  return {
    version,
    open() {
      const connection = connect([])
      let isOpen = true
      return {
        run: (sql, format = 'TabSeparated') => addon.QueryAsyncConnection(connection, sql, format),
        insert: (sql) => addon.InsertRawAsyncConnection(connection, sql, Buffer.from('\n'), false),
        classify: (sql) => addon.DurableClassifyAsync(connection, sql, ''),
        close() {
          if (isOpen) addon.CloseConnection(connection)
          isOpen = false
        },
      }
    },
    // The last connection takes the engine down with it, flushed.
    close: () => addon.CloseConnection(boot),
  }
}
