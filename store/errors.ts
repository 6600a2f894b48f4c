/**
 * Errors as ClickHouse words them: number, name and sentence, and the HTTP status each travels with.
 * Clients parse `Code: N. DB::Exception: ...`, so the shape is part of the contract.
 */

/** One error of the store or the engine, ready to be shown to the client. */
export class StoreError extends Error {
  readonly code: number
  readonly label: string
  /** Overrides the status that `code` stands for. */
  readonly status: number | undefined

  constructor(code: number, label: string, text: string, status?: number) {
    super(text)
    this.code = code
    this.label = label
    this.status = status
  }
}

const statusByCode = new Map([
  [6, 400],
  [26, 400],
  [27, 400],
  [36, 400],
  [38, 400],
  [41, 400],
  [47, 400],
  [48, 501],
  [53, 400],
  [62, 400],
  [72, 400],
  [117, 400],
  [130, 400],
  [457, 400],
  [46, 404],
  [50, 404],
  [60, 404],
  [73, 404],
  [81, 404],
  [115, 404],
  [164, 403],
  [192, 403],
  [193, 403],
  [194, 401],
  [202, 503],
  [307, 413],
  [452, 403],
  [497, 403],
  [516, 403],
])

export function statusOf(error: StoreError): number {
  return error.status ?? statusByCode.get(error.code) ?? 500
}

/** The text a client gets, one line end included. */
export function wordsOf(error: StoreError, version: string): string {
  return `Code: ${error.code}. DB::Exception: ${error.message}. (${error.label}) (version ${version} (official build))\n`
}

const shape = /^Code: (\d+)\. DB::Exception: ([\s\S]*?)\.? \(([A-Z0-9_]+)\)(?: \(version [^)]*\)+)?\.?\s*$/

/** Reads an error of the engine; errors of a statement run inside another statement are unwrapped. */
export function engineError(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  let text = error instanceof Error ? error.message : String(error)
  for (let depth = 0; depth < 3; depth++) {
    const inner = shape.exec(text)?.[2]
    if (!inner?.startsWith('Code: ') || !shape.test(inner)) break
    text = inner
  }
  const found = shape.exec(text)
  if (!found) return new StoreError(1002, 'UNKNOWN_EXCEPTION', text.replace(/\.\s*$/, ''))
  return new StoreError(Number(found[1]), found[3]!, found[2]!)
}
