/**
 * Output formats: which a reader may ask for, and the Content-Type each travels with.
 */

const types: Record<string, string> = {
  'application/json; charset=UTF-8':
    'JSON JSONStrings JSONColumns JSONCompact JSONCompactStrings JSONCompactColumns JSONColumnsWithMetadata JSONObjectEachRow',
  'application/x-ndjson; charset=UTF-8':
    'JSONEachRow JSONLines NDJSON JSONStringsEachRow JSONCompactEachRow JSONCompactEachRowWithNames JSONCompactEachRowWithNamesAndTypes JSONCompactStringsEachRow JSONCompactStringsEachRowWithNames JSONCompactStringsEachRowWithNamesAndTypes JSONEachRowWithProgress JSONStringsEachRowWithProgress PrettyJSONEachRow',
  'text/csv; charset=UTF-8; header=absent': 'CSV',
  'text/csv; charset=UTF-8; header=present': 'CSVWithNames CSVWithNamesAndTypes',
  'text/tab-separated-values; charset=UTF-8':
    'TabSeparated TSV TabSeparatedRaw TSVRaw Raw TabSeparatedWithNames TSVWithNames TabSeparatedWithNamesAndTypes TSVWithNamesAndTypes TabSeparatedRawWithNames TSVRawWithNames TabSeparatedRawWithNamesAndTypes TSVRawWithNamesAndTypes RawWithNames RawWithNamesAndTypes',
  'application/octet-stream':
    'Native RowBinary RowBinaryWithNames RowBinaryWithNamesAndTypes RowBinaryWithDefaults Parquet Arrow ArrowStream ORC Avro MsgPack BSONEachRow Npy RawBLOB',
  'application/xml; charset=UTF-8': 'XML',
  'text/plain; charset=UTF-8':
    'Pretty PrettyCompact PrettyCompactMonoBlock PrettySpace PrettyNoEscapes PrettyCompactNoEscapes PrettySpaceNoEscapes PrettyMonoBlock PrettySpaceMonoBlock Vertical Values Markdown SQLInsert LineAsString CustomSeparated CustomSeparatedWithNames Null Prometheus TSKV Hash',
}

const typeOf = new Map(
  Object.entries(types).flatMap(([type, names]) => names.split(' ').map((name) => [name, type] as const)),
)

/** Whether readers may use it. What is missing needs a schema file or is another protocol's wire. */
export function isKnownFormat(format: string): boolean {
  return typeOf.has(format)
}

export function contentType(format: string): string {
  return typeOf.get(format) ?? 'text/plain; charset=UTF-8'
}
