/**
 * Log of the collector: one JSON object per line on standard error. Never put a token, key, header or captured payload
 * into `fields`: lines go to whoever reads the machine's log.
 */
import { isLogged, type LogLevel, logLine } from '../event/log.ts'

export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void

/** A logger that writes lines of `least` severity and above. */
export function openLog(
  least: LogLevel,
  write: (line: string) => void = (line) => process.stderr.write(line),
): Log {
  return (level, message, fields = {}) => {
    if (isLogged(level, least)) write(logLine(level, 'collector', message, fields))
  }
}

/** First line of an error's text, cut: enough to act on, short enough not to carry a whole statement. */
export const reasonOf = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n', 1)[0]!.slice(0, 300)
}
