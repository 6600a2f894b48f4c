/** ClickHouse types that several columns of the contract share. */

export const lc = 'LowCardinality(String)'
export const small = 'UInt32 CODEC(T64, ZSTD(1))'
export const wide = 'UInt64 CODEC(T64, ZSTD(1))'
/** A closed set of words, in this order. */
export const words = (list: readonly string[]): string =>
  `Enum8(${list.map((w, i) => `'${w}' = ${i + 1}`).join(', ')})`
