/**
 * What the commands write with: colours only where they are seen, widths as the eye counts them, figures in units.
 * Stored strings come from strangers: nothing of them reaches a terminal but through `clean` or `jsonLine`.
 */
import { stripVTControlCharacters, styleText } from 'node:util'

/** C0, DEL, C1, line separators, direction overrides, zero-width and tag characters: what moves, hides or repaints text. */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu
/** As above but for what JSON has escaped already; surrogate pairs of tag characters are escaped one by one. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** A stranger's text on one line, without anything a terminal would obey. */
export const clean = (text: string): string =>
  stripVTControlCharacters(text.toWellFormed())
    .replace(/[\t\n\r]+/g, ' ')
    .replace(UNSAFE, '')

/** A value as one line of JSON that is safe to show: dangerous characters stand as \u escapes and read back the same. */
export const jsonLine = (value: unknown): string =>
  `${JSON.stringify(value).replace(UNSAFE_IN_JSON, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`

/** Bytes of others on their way to a terminal: line breaks and tabs stay, the rest of the control characters go. */
export const cleanBlock = (text: string): string =>
  stripVTControlCharacters(text).replace(UNSAFE, (c) => (c === '\n' || c === '\t' ? c : ''))

export type Style = Parameters<typeof styleText>[0]

export type Screen = {
  readonly isTTY: boolean
  /** Columns; Infinity when nobody looks, for then nothing is cut. */
  readonly width: number
  readonly height: number
  paint(style: Style, text: string): string
}

/** Standard output as it is now: ask again after a resize. */
export function screen(): Screen {
  const out = process.stdout
  const isTTY = out.isTTY === true
  // hasColors also says no for NO_COLOR and dumb terminals.
  const hasColours = isTTY && out.hasColors()
  return {
    isTTY,
    width: isTTY ? Math.max(20, out.columns || 80) : Number.POSITIVE_INFINITY,
    height: isTTY ? Math.max(5, out.rows || 24) : Number.POSITIVE_INFINITY,
    paint: (style, text) => (hasColours && text ? styleText(style, text, { validateStream: false }) : text),
  }
}

/** Lets a reader that has seen enough (`| head`) end the command quietly. Call once before writing. */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') process.exit(0)
    throw error
  })
}

/** Writes and waits while the reader is slow. */
export function print(text: string): Promise<void> {
  if (text === '' || process.stdout.write(text)) return Promise.resolve()
  return new Promise((resolve) => process.stdout.once('drain', resolve))
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
const segments = new Intl.Segmenter()

/** Cells a clean text takes. */
export function cells(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let sum = 0
  for (const { segment } of segments.segment(text)) sum += WIDE.test(segment) ? 2 : 1
  return sum
}

/** A clean text in at most `width` cells; an ellipsis stands for what was cut. */
export function cut(text: string, width: number): string {
  if (cells(text) <= width) return text
  if (width < 1) return ''
  let kept = ''
  let used = 0
  for (const { segment } of segments.segment(text)) {
    used += WIDE.test(segment) ? 2 : 1
    if (used > width - 1) break
    kept += segment
  }
  return `${kept}…`
}

/** A clean text in exactly `width` cells. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const shown = cut(text, width)
  const rest = ' '.repeat(Math.max(0, width - cells(shown)))
  return align === 'right' ? rest + shown : shown + rest
}

/** 870 µs, 12.3 ms, 1.24 s, 2m 05s, 3h 07m. */
export function duration(us: number): string {
  if (us < 1_000) return `${Math.round(us)} µs`
  const scaled = (value: number): string => value.toPrecision(3)
  if (us < 999_500) return `${us < 99_950 ? scaled(us / 1_000) : Math.round(us / 1_000)} ms`
  if (us < 59_950_000) return `${scaled(us / 1_000_000)} s`
  const s = Math.round(us / 1_000_000)
  const two = (n: number): string => String(n).padStart(2, '0')
  return s < 3_600
    ? `${Math.floor(s / 60)}m ${two(s % 60)}s`
    : `${Math.floor(s / 3_600)}h ${two(Math.floor((s % 3_600) / 60))}m`
}

/** 812 B, 12.3 kB, 4.1 MB: thousands, as disks and networks count. */
export function byteSize(bytes: number): string {
  let value = bytes
  for (const unit of ['B', 'kB', 'MB', 'GB', 'TB']) {
    if (value < 999.5 || unit === 'TB')
      return `${unit === 'B' || value >= 99.95 ? Math.round(value) : value.toPrecision(3)} ${unit}`
    value /= 1_000
  }
  return ''
}

/** 12,345 up to a million, then 1.2M. */
export const count = (n: number): string =>
  n < 1_000_000
    ? Math.round(n).toLocaleString('en-US')
    : n < 1e9
      ? `${(n / 1e6).toPrecision(3)}M`
      : `${(n / 1e9).toPrecision(3)}G`

export const share = (part: number): string =>
  part === 0
    ? '0%'
    : part < 0.001
      ? '<0.1%'
      : part < 0.1
        ? `${(part * 100).toFixed(1)}%`
        : `${Math.round(part * 100)}%`

/** "2026-11-21 00:49:03.439" of the store, always UTC, as a Date. */
export const moment = (stored: string): Date => new Date(`${stored.replace(' ', 'T')}Z`)
/** As ISO 8601, with the digits the store has. */
export const iso = (stored: string): string => (stored === '' ? '' : `${stored.replace(' ', 'T')}Z`)

/** Clock of this machine: with milliseconds today, with the date before. */
export function clock(at: Date, now = new Date()): string {
  const two = (n: number, digits = 2): string => String(n).padStart(digits, '0')
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  return at.toDateString() === now.toDateString()
    ? `${time}.${two(at.getMilliseconds(), 3)}`
    : `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`
}
