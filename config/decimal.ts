/**
 * Amounts of money without a rounding error: decimal texts → integers. Never by float arithmetic. Pure.
 * Units: nano = 10^-9 USD, what a call costs; atto = 10^-18 USD, what a token or a byte may cost.
 */

const DECIMAL = /^(\d{1,12})(?:\.(\d{1,24}))?(?:[eE]([+-]?\d{1,2}))?$/
/** Digits a number of the file can have without losing one when it is read as a double. */
const SAFE_DIGITS = 15

export const NANO_DIGITS = 9
export const ATTO_DIGITS = 18

/** Why a text or number is no amount; null when it is one. `digits`: places after the point it may have. */
export function amountProblem(value: string | number, digits: number): string | null {
  const text = String(value).trim()
  if (text.startsWith('-')) return 'cannot be negative, for example 0.002'
  const match = DECIMAL.exec(text)
  if (!match) return 'is not an amount of US dollars, for example 0.002'
  const significant = `${match[1]}${match[2] ?? ''}`.replace(/^0+/, '').length
  if (typeof value === 'number' && significant > SAFE_DIGITS)
    return 'has more digits than a number can hold, for example the same in quotes: "0.0000000001234567890"'
  if (places(match) > digits)
    return `has more than ${digits} places after the point, for example 0.${'0'.repeat(Math.min(digits, 9) - 1)}1`
  return null
}

/** Places after the point that are not zero at the end. */
function places(match: RegExpExecArray): number {
  const fraction = match[2] ?? ''
  const exponent = Number(match[3] ?? 0)
  const digits = `${match[1]}${fraction}`.replace(/0+$/, '').length
  return digits === 0 || /^0*$/.test(`${match[1]}${fraction}`)
    ? 0
    : Math.max(0, digits - match[1]!.length - exponent)
}

/** `value` × 10^digits as an integer. Throws when `amountProblem` has something to say. */
export function amountOf(value: string | number, digits: number): bigint {
  const problem = amountProblem(value, digits)
  if (problem) throw new RangeError(`the amount ${problem}`)
  const match = DECIMAL.exec(String(value).trim())!
  const fraction = match[2] ?? ''
  const shift = digits - fraction.length + Number(match[3] ?? 0)
  const whole = BigInt(match[1]! + fraction)
  return shift >= 0 ? whole * 10n ** BigInt(shift) : whole / 10n ** BigInt(-shift)
}

/** `numerator / denominator` to the nearest integer, halves to the even one. `denominator` is positive. */
export function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  let quotient = numerator / denominator
  let rest = numerator % denominator
  if (rest < 0n) {
    rest += denominator
    quotient -= 1n
  }
  const twice = rest * 2n
  if (twice > denominator || (twice === denominator && (quotient & 1n) === 1n)) quotient += 1n
  return quotient
}

const DOUBLE = new DataView(new ArrayBuffer(8))
const EXPONENT_BIAS = 1075n
const FRACTION_BITS = 52n
const NANO_PER_USD = 1_000_000_000n
/** Below it a nano-dollar is far more than the error of one multiplication. */
const FAST_MAX = 2 ** 42

/** A double of US dollars in nano-dollars, rounded once, halves to even. `usd` is finite and not negative. */
export function nanoOfDouble(usd: number): bigint {
  const product = usd * 1e9
  const rounded = Math.round(product)
  if (product < FAST_MAX && Math.abs(Math.abs(product - rounded) - 0.5) > 0.001) return BigInt(rounded)
  DOUBLE.setFloat64(0, usd)
  const bits = DOUBLE.getBigUint64(0)
  const biased = (bits >> FRACTION_BITS) & 0x7ffn
  const fraction = bits & ((1n << FRACTION_BITS) - 1n)
  const mantissa = biased === 0n ? fraction : fraction | (1n << FRACTION_BITS)
  const exponent = (biased === 0n ? 1n : biased) - EXPONENT_BIAS
  const exact = mantissa * NANO_PER_USD
  return exponent >= 0n ? exact << exponent : divideHalfEven(exact, 1n << -exponent)
}
