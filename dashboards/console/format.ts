/** Figures as people read them. One form per unit, everywhere. */

const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** 1234 → `1,234`; from a million on `1.23 M`. */
export function count(n: number): string {
  if (!Number.isFinite(n)) return '–'
  const size = Math.abs(n)
  if (size >= 1e9) return `${(n / 1e9).toFixed(2)} G`
  if (size >= 1e6) return `${(n / 1e6).toFixed(2)} M`
  return size < 10 && !Number.isInteger(n) ? n.toFixed(size < 1 ? 2 : 1) : GROUPED.format(n)
}

/** Calls a second → `12.5/s`, `3.0/min`, `2.0/h`: whichever says something. */
export function perTime(per_s: number): string {
  if (per_s === 0) return '0'
  const { unit, times } = pace([per_s])
  return `${plain(per_s * times)}/${{ 'a second': 's', 'a minute': 'min', 'an hour': 'h' }[unit]}`
}

/** The unit in which a series of rates (calls a second) reads best: one for a whole chart. */
export function pace(rates: readonly (number | null)[]): { unit: string; times: number } {
  const top = Math.max(0, ...rates.map((r) => r ?? 0))
  if (top >= 0.5 || top === 0) return { unit: 'a second', times: 1 }
  return top * 60 >= 0.5 ? { unit: 'a minute', times: 60 } : { unit: 'an hour', times: 3600 }
}
export const plain = (n: number): string =>
  n === 0 ? '0' : n >= 100 ? count(Math.round(n)) : n.toFixed(n >= 10 ? 1 : 2)

/** Microseconds → `850 µs`, `12.3 ms`, `4.21 s`, `2 m 5 s`. */
export function duration(us: number): string {
  if (!Number.isFinite(us)) return '–'
  if (us < 1000) return `${Math.round(us)} µs`
  if (us < 100_000) return `${(us / 1000).toFixed(us < 10_000 ? 2 : 1)} ms`
  if (us < 1e6) return `${Math.round(us / 1000)} ms`
  if (us < 60e6) return `${(us / 1e6).toFixed(us < 10e6 ? 2 : 1)} s`
  const s = Math.round(us / 1e6)
  return s < 3600
    ? `${Math.floor(s / 60)} m ${s % 60} s`
    : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} m`
}
export const seconds = (s: number | null): string => (s === null ? '–' : duration(s * 1e6))

/** A share of one as percent; small ones keep a digit that is not zero. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–'
  if (share === 0) return '0 %'
  const p = share * 100
  return p < 0.01 ? '<0.01 %' : `${p.toFixed(p < 1 ? 2 : p < 10 ? 1 : 0)} %`
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} B`
  const step = Math.min(4, Math.floor(Math.log2(n) / 10))
  return `${(n / 1024 ** step).toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][step]}`
}

/** Nano-dollars → `$0.0042`, `$12.30`. */
export function money(nano: number): string {
  const usd = nano / 1e9
  const size = Math.abs(usd)
  if (usd === 0) return '$0'
  if (size >= 1000) return `${usd < 0 ? '−' : ''}$${GROUPED.format(size)}`
  return `${usd < 0 ? '−' : ''}$${size < 0.01 ? size.toPrecision(2) : size.toFixed(size < 1 ? 4 : 2)}`
}

/** To the nano-dollar: `$12.345678901`. */
export function exactMoney(nano: number): string {
  const size = BigInt(Math.round(Math.abs(nano)))
  return `${nano < 0 ? '−' : ''}$${size / 1_000_000_000n}.${String(size % 1_000_000_000n).padStart(9, '0')}`
}

/** A rate the store wrote as decimal nano-dollars (`0.0123`), whole: `$0.0000000000123`. */
export function exactRate(nano: string): string {
  const [whole = '0', part = ''] = nano.split('.')
  const digits = (whole + part.padEnd(9, '0')).padStart(19, '0')
  const decimals = digits.slice(-18).replace(/0+$/, '')
  return `$${digits.slice(0, -18).replace(/^0+(?=\d)/, '')}${decimals && `.${decimals.padEnd(2, '0')}`}`
}

/** A figure of the detectors by the word they have for its unit. */
export function inUnit(unit: string, value: number): string {
  switch (unit) {
    case 'us':
      return duration(value)
    case 'share':
      return percent(value)
    case 'nano_usd':
      return money(value)
    case 'bytes':
      return bytes(Math.round(value))
    default:
      return `${plain(value)}${unit ? ` ${unit}` : ''}`
  }
}
