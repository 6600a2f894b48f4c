/**
 * What a result says its call cost: `_meta["weir/cost"]` = `{ "amount": "0.0042", "currency": "USD" }`, the amount as a decimal
 * text or a number. Read of trusted servers only, and only where the result says something. Pure.
 */
import { amountOf, amountProblem, divideHalfEven, nanoOfDouble } from '../../config/decimal.ts'

export const COST_KEY = 'weir/cost'
/** As it stands in JSON, plain or with its slash escaped. */
const WRITTEN = [`"${COST_KEY}"`, `"${COST_KEY.replace('/', '\\/')}"`]

/** Digits after the point that are looked at; a nano-dollar has nine. */
const DIGITS_MAX = 24
const NANO_PER_DIGITS_MAX = 10n ** 15n

/** `nano`: nano-dollars. `currency`: another than USD, or none: not converted, not guessed. `malformed`: no amount. */
export type ReportedCost = { nano: number } | 'currency' | 'malformed'

/** Null when the JSON-RPC answer reports nothing. */
export function readReportedCost(answer: string): ReportedCost | null {
  if (!answer.includes(WRITTEN[0]!) && !answer.includes(WRITTEN[1]!)) return null
  const cost = costIn(answer)
  if (cost === undefined) return null
  if (typeof cost !== 'object' || cost === null) return 'malformed'
  const { amount, currency } = cost as { amount?: unknown; currency?: unknown }
  if (currency !== 'USD') return 'currency'
  const nano = nanoOf(amount)
  return nano !== null && nano <= BigInt(Number.MAX_SAFE_INTEGER) ? { nano: Number(nano) } : 'malformed'
}

function costIn(answer: string): unknown {
  try {
    return (JSON.parse(answer) as { result?: { _meta?: Record<string, unknown> } })?.result?._meta?.[COST_KEY]
  } catch {
    // Large answers come here without having been parsed.
    return undefined
  }
}

function nanoOf(amount: unknown): bigint | null {
  if (typeof amount === 'number') return amount >= 0 && amount < 1e9 ? nanoOfDouble(amount) : null
  if (typeof amount !== 'string' || amountProblem(amount, DIGITS_MAX) !== null) return null
  return divideHalfEven(amountOf(amount, DIGITS_MAX), NANO_PER_DIGITS_MAX)
}
