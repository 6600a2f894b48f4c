/**
 * Log lines as JSON on standard error. One form for every process of Weir; fields are named by the caller.
 * Must never be given a secret, arguments or results: what is passed here is written.
 */

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type LogFields = Readonly<Record<string, unknown>>
export type Log = Record<LogLevel, (message: string, fields?: LogFields) => void>

/** Whether a line of `level` is severe enough where `least` is the least. */
export const isLogged = (level: LogLevel, least: LogLevel): boolean =>
  LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least)

/** One line with its newline. `part` is the process or room that speaks. */
export const logLine = (level: LogLevel, part: string, message: string, fields?: LogFields): string =>
  `${JSON.stringify({ ts: new Date().toISOString(), level, part, message, ...fields })}\n`

/** A log of `part` that writes lines of at least `least`. */
export function makeLog(
  part: string,
  least: LogLevel,
  write = (line: string): unknown => process.stderr.write(line),
): Log {
  const at =
    (level: LogLevel) =>
    (message: string, fields?: LogFields): void => {
      if (isLogged(level, least)) write(logLine(level, part, message, fields))
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
