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
import { dissect, literal, verbOf } from './sql.ts'

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

/** The engine's parser on a session. The canonical text also yields the syntax error's words. */
function judgeOn(session: Session): Judge {
  return {
    classify: (sql) => session.classify(sql),
    async canonical(sql) {
      try {
        return (
          await session.run(`SELECT formatQuerySingleLine(${literal(sql)})`, 'RawBLOB')
        ).bytes.toString()
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

export function createStatements(
  engine: Engine,
  pipes: Pipes,
  database: string,
  limits: StoreLimits,
): Statements {
  const running = new Map<string, () => void>()

  /** Kills by the request's id until it is gone: a statement shows in the engine's list a moment after its start. */
  const kill = async (id: string): Promise<void> => {
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

  const prepare = async (
    session: Session,
    statement: Statement,
  ): Promise<{ body: string; format: string; tail: string }> => {
    const { body, format: written, settings, settings_text } = dissect(statement.text)
    const format = written ?? statement.default_format
    const parameters = parameterAssignments(statement.parameters)
    if (statement.role === 'writer') {
      await session.run(writerPrologue(statement.database, statement.id, statement.settings, parameters))
      return { body, format, tail: settings_text ? ` SETTINGS ${settings_text}` : '' }
    }
    if (statement.database !== database)
      throw new StoreError(
        81,
        'UNKNOWN_DATABASE',
        `Database ${statement.database} is not open to readers; use ${database}, and system tables by their full name`,
      )
    if (!isKnownFormat(format))
      throw new StoreError(73, 'UNKNOWN_FORMAT', `Format ${format} is not known or not open to readers`)
    const { assignments, expressions } = readerSettings(statement.settings, settings, limits)
    await session.run(readerPrologue(database, statement.id, assignments, parameters))
    await guardReader(body, expressions, judgeOn(session))
    return { body, format, tail: '' }
  }

  /** Runs an INSERT that brought data: the engine reads it from the file, never from the statement. */
  const insert = async (session: Session, { insert: data, ...statement }: Statement): Promise<Counts> => {
    await session.run(
      writerPrologue(
        statement.database,
        statement.id,
        statement.settings,
        parameterAssignments(statement.parameters),
      ),
    )
    const { target, settings, format, file, data_bytes } = data!
    // A token names the batch's bytes, so its blocks must be cut the same way each time it is sent.
    const serial =
      statement.settings.has('insert_deduplication_token') || /insert_deduplication_token/.test(settings)
    const clauses = [settings, serial ? 'input_format_parallel_parsing = 0' : ''].filter(Boolean).join(', ')
    const sql = `${target} FROM INFILE ${literal(file)} COMPRESSION 'none'${clauses ? ` SETTINGS ${clauses}` : ''} FORMAT ${format}`
    await checkSingle(sql, judgeOn(session))
    if (data_bytes === 0) return noCounts
    try {
      const { rowsWritten, bytesWritten } = await session.insert(sql)
      return { ...noCounts, written_rows: rowsWritten, written_bytes: bytesWritten }
    } catch (error) {
      throw without(engineError(error), file, 'the body')
    }
  }

  /** Runs a statement with rows to send, through a pipe when there is one. */
  const answer = (session: Session, id: string, body: string, format: string, tail: string): Outcome => {
    const pipe = pipes.take()
    const into = pipe
      ? `\nINTO OUTFILE ${literal(pipe.path)} APPEND FORMAT ${format}${tail}`
      : `\nFORMAT ${format}${tail}`
    const result = session.run(body + into).catch((error: unknown) => {
      throw pipe ? without(engineError(error), pipe.path, 'the answer') : error
    })
    const settled = result.then(({ rowsRead, bytesRead }) => ({
      ...noCounts,
      result_rows: rowsRead,
      result_bytes: bytesRead,
    }))
    settled.catch(() => {})
    const cancel = () => {
      // A statement waiting in a write to the pipe hears no KILL, so what still comes is read and thrown away.
      pipe?.bytes.resume()
      void kill(id)
    }
    running.set(id, cancel)
    const finish = () => {
      running.delete(id)
      session.close()
      pipe?.settled()
    }
    result.then(finish, finish)
    return { format, bytes: rows(), settled, cancel }

    async function* rows(): AsyncGenerator<Buffer> {
      if (pipe) yield* pipe.bytes.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
      const rest = await result.catch(() => null)
      if (rest && rest.bytes.length > 0) yield rest.bytes
    }
  }

  /** Runs a statement that changes something, as it came. A few of them (KILL, BACKUP) answer with rows. */
  const change = async (session: Session, text: string, format: string): Promise<Outcome> => {
    if (verbOf(text) === 'INSERT') {
      const { rowsWritten, bytesWritten } = await session.insert(text)
      session.close()
      return done({ ...noCounts, written_rows: rowsWritten, written_bytes: bytesWritten })
    }
    const { bytes } = await session.run(text, format)
    session.close()
    return bytes.length > 0 ? { ...done(noCounts), format, bytes: [bytes] } : done(noCounts)
  }

  const start = async (session: Session, statement: Statement): Promise<Outcome> => {
    if (statement.insert) {
      const counts = await insert(session, statement)
      session.close()
      return done(counts)
    }
    const { body, format, tail } = await prepare(session, statement)
    const queryClass = statement.role === 'writer' ? await checkSingle(body, judgeOn(session)) : 0
    if (queryClass === 0) return answer(session, statement.id, body, format, tail)
    if (statement.isReadonly)
      throw new StoreError(
        164,
        'READONLY',
        'Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries',
      )
    return await change(session, statement.text, statement.default_format)
  }

  return {
    async run(statement) {
      const session = engine.open()
      try {
        return await start(session, statement)
      } catch (error) {
        session.close()
        throw engineError(error)
      }
    },
    cancelAll() {
      for (const cancel of running.values()) cancel()
    },
  }
}
