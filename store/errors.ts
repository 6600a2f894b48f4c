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

/** All others are 500. */
const codesByStatus: Record<number, number[]> = {
  400: [6, 26, 27, 36, 38, 41, 47, 53, 62, 72, 117, 130, 457],
  401: [194],
  403: [164, 192, 193, 452, 497, 516],
  404: [46, 50, 60, 73, 81, 115],
  413: [307],
  501: [48],
  503: [202],
}

const statusByCode = new Map(
  Object.entries(codesByStatus).flatMap(([status, codes]) =>
    codes.map((code) => [code, Number(status)] as const),
  ),
)

export function statusOf(error: StoreError): number {
  return error.status ?? statusByCode.get(error.code) ?? 500
}

/** The engine repeats a statement in its errors; a megabyte of it helps nobody. */
const words_max = 8192

/** The text a client gets, one line end included. */
export function wordsOf(error: StoreError, version: string): string {
  const { message } = error
  const text = message.length > words_max ? `${message.slice(0, words_max)} ...` : message
  return `Code: ${error.code}. DB::Exception: ${text}. (${error.label}) (version ${version} (official build))\n`
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
