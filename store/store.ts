/**
 * The store as a whole: files, engine, server, in the order they come up and go down.
 * One per process, for the engine binds one directory per process.
 */
import type { Server } from 'node:http'
import { type Admission, createAdmission } from './admission.ts'
import { type Engine, openEngine } from './engine.ts'
import { createStoreServer, listen } from './http.ts'
import { checkOptions, checkReload, limitsOf, type StoreOptions } from './options.ts'
import { createPipes } from './pipes.ts'
import { extendTableFunctions } from './reader-names.ts'
import { clearLeftovers, prepareFiles } from './server-files.ts'
import { readerPrologue, readerSettings } from './settings.ts'
import { createStatements, type Statements } from './statement.ts'

export type Store = {
  /** `http://host:port` */
  address: string
  /** Runs a guarded SELECT 1 on a session of its own; hangs or rejects when the engine cannot. */
  beat(): Promise<void>
  /** Takes new credentials and limits of readers at once and whole; throws when more than that has changed. */
  reload(next: StoreOptions): void
  /** Stops accepting, lets running statements end within the bound, kills the rest, closes the engine. */
  drain(): Promise<void>
  /** What runs and waits now. */
  snapshot(): ReturnType<Admission['snapshot']>
}

const markCache_bytes = 64 * 1024 * 1024

async function serverClosed(server: Server, statements: Statements, wait_ms: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const bound = setTimeout(() => statements.cancelAll(), wait_ms)
  // Killed statements answer with an error; connections still open after that belong to clients that do not read.
  const last = setTimeout(() => server.closeAllConnections(), wait_ms + 2000)
  await closed
  clearInterval(idle)
  clearTimeout(bound)
  clearTimeout(last)
}

/** Waits until no statement holds a place; a closed connection under a running statement would abort the engine. */
async function quiet(admission: Admission, statements: Statements, wait_ms: number): Promise<boolean> {
  const until = performance.now() + wait_ms
  while (admission.snapshot().running > 0 && performance.now() < until) {
    statements.cancelAll()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return admission.snapshot().running === 0
}

/** Everything an engine needs before it takes statements. */
async function prepareEngine(engine: Engine, database: string): Promise<void> {
  const session = engine.open()
  try {
    await session.run(`SET ROLE writer; CREATE DATABASE IF NOT EXISTS ${database}`)
    const names = await session.run('SELECT name FROM system.table_functions', 'TSVRaw')
    extendTableFunctions(names.bytes.toString().split('\n').filter(Boolean))
  } finally {
    session.close()
  }
}

export async function openStore(given: StoreOptions): Promise<Store> {
  checkOptions(given)
  // Everybody below holds these two objects, so that a reload is one assignment to each.
  const options = { ...given }
  const { database } = options
  const limits = limitsOf(options)
  const paths = prepareFiles(options.data_path, database)
  const engine = await openEngine(paths.engine, [
    `--config-file=${paths.config_file}`,
    `--max_server_memory_usage=${options.memory_max_bytes}`,
    `--mark_cache_size=${markCache_bytes}`,
  ])
  clearLeftovers(paths)
  await prepareEngine(engine, database)
  const statements = createStatements(
    engine,
    await createPipes(paths.pipes, options.statements_max * 2),
    database,
    limits,
  )
  const admission = createAdmission(options.statements_max, limits.queue_max)
  const server = createStoreServer({
    options,
    limits,
    version: engine.version,
    inserts_path: paths.inserts,
    admission,
    statements,
  })
  const address = await listen(server, options.listen.host, options.listen.port)
  return {
    address,
    async beat() {
      const session = engine.open()
      try {
        const prologue = readerPrologue(database, 'beat', readerSettings([], [], limits).assignments, [])
        const answer = (await session.run(`${prologue}; SET readonly = 1; SELECT 1`)).bytes.toString()
        if (answer !== '1\n') throw new Error(`the engine answered SELECT 1 with ${JSON.stringify(answer)}`)
      } finally {
        session.close()
      }
    },
    reload(next) {
      checkReload(options, next)
      Object.assign(options, next)
      Object.assign(limits, limitsOf(next))
    },
    async drain() {
      await serverClosed(server, statements, limits.drain_max_ms)
      if (await quiet(admission, statements, 5000)) engine.close()
    },
    snapshot: () => admission.snapshot(),
  }
}
