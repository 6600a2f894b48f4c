/**
 * What the console may ask: `GET /api/<name>?…`, one entry a question. An entry checks its parameters and hands them to a file
 * of `collector/queries/`; it holds no SQL. Rows go out as JSON, or as CSV with `Accept: text/csv` or `?format=csv`.
 * Here is the shape of an entry and how its parameters are read; `registry.ts` joins the entries of all areas.
 */
import type { Reader } from '../queries/client.ts'
import { ApiError } from './errors.ts'

/** Parameters of the URL, each at most once. */
export type Asked = Readonly<Record<string, string | undefined>>

export type Question = {
  /** One sentence for people: what it answers. */
  readonly about: string
  /** Names it understands; any other is refused. */
  readonly params: readonly string[]
  /** Throws ApiError 400 for a parameter that cannot be. The answer is an array of flat rows, or an object of such arrays. */
  run(reader: Reader, asked: Asked, around?: Around): Promise<unknown>
}

/** What a question may know besides the store. */
export type Around = {
  /** Prometheus text of this collector. */
  metrics(): Promise<string>
}

const refuse = (name: string, expected: string): ApiError =>
  new ApiError(400, 'parameter_malformed', `the parameter ${name} is not ${expected}`, `send ${expected}`)

/** A time range in milliseconds since 1970: `from` and `to` as such numbers; default: the last hour. */
export function rangeOf(asked: Asked, now_ms = Date.now()): { from_ms: number; to_ms: number } {
  const to_ms = integerOf(asked, 'to', now_ms)
  const from_ms = integerOf(asked, 'from', to_ms - 3_600_000)
  if (from_ms >= to_ms) throw refuse('from', 'a moment before `to`, in milliseconds since 1970')
  return { from_ms, to_ms }
}

/** A whole number, `otherwise` when absent. */
export function integerOf(asked: Asked, name: string, otherwise: number): number {
  const text = asked[name]
  if (text === undefined || text === '') return otherwise
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw refuse(name, 'a whole number')
  return value
}

/** One of a closed set, the first when absent. */
export function oneOf<const W extends string>(asked: Asked, name: string, words: readonly W[]): W {
  const text = asked[name]
  if (text === undefined || text === '') return words[0]!
  const found = words.find((word) => word === text)
  if (!found) throw refuse(name, `one of ${words.join(', ')}`)
  return found
}
