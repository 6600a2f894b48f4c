/** What one field of the event contract says of itself (event/fields.ts holds them all). Knows no field by name. */

type Json =
  | 'string'
  | 'integer'
  | 'boolean'
  | 'strings'
  | 'labels'
  | 'numbers'
  | 'attempts'
  | readonly string[]

/**
 * One field.
 * `json`: its form in the spool line (a list of words = one of them). `column`: ClickHouse type and codec, '' when the
 * field is not a column of `calls` (captured payloads go to `call_payloads`). `otel`: attribute on the SERVER span
 * (`client:` prefix = on the CLIENT span only), '' when none. `sensitivity`: `content` only ever holds something when
 * a capture rule names the call; `personal` may identify a person.
 */
export type Field = {
  readonly name: string
  readonly json: Json
  readonly column: string
  readonly unit: '' | 'us' | 'bytes' | 'tokens' | 'count'
  readonly otel: string
  readonly sensitivity: 'none' | 'personal' | 'content'
  readonly meaning: string
}

/** A field with what it does not name left empty. */
export const field = <const N extends string, const J extends Json>(
  name: N,
  json: J,
  column: string,
  meaning: string,
  more: Partial<Pick<Field, 'unit' | 'otel' | 'sensitivity'>> = {},
): Omit<Field, 'name' | 'json'> & { readonly name: N; readonly json: J } => ({
  name,
  json,
  column,
  unit: more.unit ?? '',
  otel: more.otel ?? '',
  sensitivity: more.sensitivity ?? 'none',
  meaning,
})
export const us = { unit: 'us' } as const
export const bytes = { unit: 'bytes' } as const
export const count = { unit: 'count' } as const
