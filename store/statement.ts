/**
 * One statement from its text to its result: session, guard, rewriting, run, cancel.
 * Knows nothing of HTTP. Invariant: when `settled` of an outcome resolves, the engine has nothing left of the statement.
 */
import type { Role } from './admission.ts'
import type { Engine, Session } from './engine.ts'
import { engineError, StoreError } from './errors.ts'
import { isKnownFormat } from './formats.ts'
import type { StoreLimits } from './options.ts'
import type { Pipes } from './pipes.ts'
import { checkSingle, guardReader, type Judge } from './reader-guard.ts'
import { parameterAssignments, readerPrologue, readerSettings, writerPrologue } from './settings.ts'
import type { Insert } from './sql.ts'
import { dissect, isPlainName, literal, verbOf } from './sql.ts'

export type Statement = {
  id: string
  role: Role
  text: string
  insert: (Insert & { file: string; data_bytes: number }) | null
  /** A GET: changes nothing, whoever asks. */
  isReadonly: boolean
  database: string
  default_format: string
  settings: Map<string, string>
  parameters: Map<string, string>
}

/** Counts of a settled statement, for the summary header. */
export type Counts = {
  result_rows: number
  result_bytes: number
  written_rows: number
  written_bytes: number
}

/** A statement under way. `bytes` ends only after the engine is done; then `settled` tells whether it failed. */
export type Outcome = {
  /** Null when the statement has no result, such as an INSERT. */
  format: string | null
  bytes: AsyncIterable<Buffer> | Iterable<Buffer>
  settled: Promise<Counts>
  /** Stops it; for a statement that changes data this does nothing, it runs to its end. */
  cancel(): void
}

export type Statements = {
  /** Starts the statement. Rejects with a StoreError when it fails before anything can be sent. */
  run(statement: Statement): Promise<Outcome>
  /** Stops everything that runs. */
  cancelAll(): void
}

const noCounts: Counts = { result_rows: 0, result_bytes: 0, written_rows: 0, written_bytes: 0 }

/** The outcome of a statement that has ended and has nothing to send. */
const done = (counts: Counts): Outcome => ({
  format: null,
  bytes: [],
  settled: Promise.resolve(counts),
  cancel() {},
})

/** The error without a path of ours, which is nobody's business. */
const without = ({ code, label, message }: StoreError, path: string, name: string): StoreError =>
  new StoreError(code, label, message.replaceAll(path, name))

/** What all statements share. `running` holds how to stop each that can be stopped, by its id. */
type Parts = {
  engine: Engine
  pipes: Pipes
  database: string
  limits: StoreLimits
  running: Map<string, () => void>
}

/**
 * The engine's parser on `session`. `prologue` rides along with the first canonical text asked for, which saves a turn
 * through the thread pool. A text that cannot be parsed throws the syntax error.
 */
function judgeOn(session: Session, prologue: string): Judge {
  let before = `${prologue}; `
  return {
    classify: (sql) => session.classify(sql),
    async canonical(sql) {
      const question = `${before}SELECT formatQuerySingleLine(${literal(sql)})`
      before = ''
      try {
        return (await session.run(question, 'RawBLOB')).bytes.toString()
      } catch (error) {
        const { code, label, message } = engineError(error)
        throw new StoreError(
          code,
          label,
          message.replace(/:? ?In scope SELECT formatQuerySingleLine\([\s\S]*$/, ''),
        )
      }
    },
  }
}

/** Kills by the request's id until it is gone: a statement shows in the engine's list a moment after its start. */
async function kill({ engine, running }: Parts, id: string): Promise<void> {
  while (running.has(id)) {
    const session = engine.open()
    try {
      await session.run(`SET ROLE writer; KILL QUERY WHERE Settings['log_comment'] = ${literal(id)} ASYNC`)
    } catch {
      // It may have ended by itself meanwhile; the loop's condition tells.
    } finally {
      session.close()
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Runs `sql`, which answers with rows, through a pipe when there is one. The session is closed when it has settled. */
function answer(
  parts: Parts,
  session: Session,
  id: string,
  sql: string,
  format: string,
  tail: string,
): Outcome {
  const pipe = parts.pipes.take()
  const into = pipe ? `INTO OUTFILE ${literal(pipe.path)} APPEND ` : ''
  // On a line of its own, for the statement may end in a comment.
  const result = session.run(`${sql}\n${into}FORMAT ${format}${tail}`).catch((error: unknown) => {
    throw pipe ? without(engineError(error), pipe.path, 'the answer') : error
  })
  const cancel = () => {
    // A statement waiting in a write to the pipe hears no KILL, so what still comes is read and thrown away.
    pipe?.bytes.resume()
    void kill(parts, id)
  }
  parts.running.set(id, cancel)
  const finish = () => {
    parts.running.delete(id)
    session.close()
    pipe?.settled()
  }
  result.then(finish, finish)
  const settled = result.then(({ rowsRead, bytesRead }) => ({
    ...noCounts,
    result_rows: rowsRead,
    result_bytes: bytesRead,
  }))
  settled.catch(() => {})
  return { format, bytes: rows(), settled, cancel }

  async function* rows(): AsyncGenerator<Buffer> {
    if (pipe) yield* pipe.bytes.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
    const rest = await result.catch(() => null)
    if (rest && rest.bytes.length > 0) yield rest.bytes
  }
}

async function runReader(parts: Parts, session: Session, statement: Statement): Promise<Outcome> {
  const { database, limits } = parts
  const { body, format: written, settings } = dissect(statement.text)
  const format = written ?? statement.default_format
  if (statement.database !== database)
    throw new StoreError(
      81,
      'UNKNOWN_DATABASE',
      `Database ${statement.database} is not open to readers; use ${database}, and system tables by their full name`,
    )
  if (!isKnownFormat(format))
    throw new StoreError(73, 'UNKNOWN_FORMAT', `Format ${format} is not known or not open to readers`)
  const { assignments, expressions } = readerSettings(statement.settings, settings, limits)
  const prologue = readerPrologue(
    database,
    statement.id,
    assignments,
    parameterAssignments(statement.parameters),
  )
  const lock = await guardReader(body, expressions, judgeOn(session, prologue))
  return answer(parts, session, statement.id, `${lock};\n${body}`, format, '')
}

/** Runs an INSERT that brought data: the engine reads it from the file, never from the statement. */
async function runInsert(session: Session, prologue: string, statement: Statement): Promise<Outcome> {
  const { target, settings, format, file, data_bytes } = statement.insert!
  // A token names the batch's bytes, so its blocks must be cut the same way each time it is sent.
  const hasToken =
    statement.settings.has('insert_deduplication_token') || /insert_deduplication_token/.test(settings)
  const clauses = [settings, hasToken ? 'input_format_parallel_parsing = 0' : ''].filter(Boolean).join(', ')
  const sql = `${target} FROM INFILE ${literal(file)} COMPRESSION 'none'${clauses && ` SETTINGS ${clauses}`} FORMAT ${format}`
  await checkSingle(sql, judgeOn(session, prologue))
  if (data_bytes === 0) return done(noCounts)
  await session.run(prologue)
  try {
    const { rowsWritten, bytesWritten } = await session.insert(sql)
    return done({ ...noCounts, written_rows: rowsWritten, written_bytes: bytesWritten })
  } catch (error) {
    throw without(engineError(error), file, 'the body')
  }
}

/** Runs a statement that changes something, as it came. A few of them (KILL, BACKUP) answer with rows. */
async function runChange(session: Session, prologue: string, statement: Statement): Promise<Outcome> {
  const { text, default_format: format } = statement
  if (statement.isReadonly)
    throw new StoreError(
      164,
      'READONLY',
      'Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries',
    )
  await session.run(prologue)
  if (verbOf(text) === 'INSERT') {
    const { rowsWritten, bytesWritten } = await session.insert(text)
    return done({ ...noCounts, written_rows: rowsWritten, written_bytes: bytesWritten })
  }
  const { bytes } = await session.run(text, format)
  return bytes.length > 0 ? { ...done(noCounts), format, bytes: [bytes] } : done(noCounts)
}

async function runWriter(parts: Parts, session: Session, statement: Statement): Promise<Outcome> {
  const { id, text, database } = statement
  if (!isPlainName(database))
    throw new StoreError(81, 'UNKNOWN_DATABASE', `Database ${database} does not exist`)
  const parameters = parameterAssignments(statement.parameters)
  const prologue = writerPrologue(database, id, statement.settings, parameters)
  if (statement.insert) return runInsert(session, prologue, statement)
  const queryClass = await checkSingle(text, judgeOn(session, prologue))
  if (queryClass !== 0) return runChange(session, prologue, statement)
  const { body, format: written, settings_text } = dissect(text)
  const format = written ?? statement.default_format
  if (!isPlainName(format)) throw new StoreError(73, 'UNKNOWN_FORMAT', `Unknown format ${format}`)
  const tail = settings_text && ` SETTINGS ${settings_text}`
  return answer(parts, session, id, `${prologue};\n${body}`, format, tail)
}

export function createStatements(
  engine: Engine,
  pipes: Pipes,
  database: string,
  limits: StoreLimits,
): Statements {
  const parts: Parts = { engine, pipes, database, limits, running: new Map() }
  return {
    async run(statement) {
      const session = engine.open()
      try {
        const outcome = await (statement.role === 'writer' ? runWriter : runReader)(parts, session, statement)
        if (!parts.running.has(statement.id)) session.close()
        return outcome
      } catch (error) {
        session.close()
        throw engineError(error)
      }
    },
    cancelAll() {
      for (const cancel of parts.running.values()) cancel()
    },
  }
}
