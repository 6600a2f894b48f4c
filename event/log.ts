/**
 * Log lines as JSON on standard error. One writer for every process of Weir; fields are named by the caller.
 * Must never be given a secret, arguments or results: what is passed here is written.
 */

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type Log = Record<LogLevel, (message: string, fields?: Record<string, unknown>) => void>

/** A log of `part` (process or room) that writes lines of at least `level`. */
export function makeLog(part: string, level: LogLevel, write = (line: string): unknown => process.stderr.write(line)): Log {
  const least = LOG_LEVELS.indexOf(level)
  const at = (name: LogLevel, rank: number) => (message: string, fields?: Record<string, unknown>) => {
    if (rank >= least) write(`${JSON.stringify({ ts: new Date().toISOString(), level: name, part, message, ...fields })}\n`)
  }
  return { debug: at('debug', 0), info: at('info', 1), warn: at('warn', 2), error: at('error', 3) }
}
