/**
 * What the `when` of a rule may call: the functions of CEL whose cost can be bounded, written so that it is, and a few of our own.
 * The library's own versions are not reachable: its `matches` backtracks, its `lowerAscii` changes letters beyond ASCII, its time
 * zones depend on the machine's own. Every step is paid from one purse, so that neither a rule nor an argument can hold a call up.
 * Invariant: no message thrown here holds a value of an argument.
 */
import type { Environment } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import { mixNumbers } from './cel.ts'
import { codePoints } from './code-points.ts'
import { shownIn } from './zone-clock.ts'

/** Work one judgement may do; a unit is about 100 ns. */
export const WORK_MAX = 100_000
/** Characters that a cheap look over a text takes for one unit. */
const CHARS_A_UNIT = 64
/** Of a regular expression: characters of text times instructions of the pattern for one unit. */
const REGEX_STEPS_A_UNIT = 8
const REGEX_MAX_CHARS = 500
const REGEX_PROGRAM_MAX = 2_000

/** Thrown when the purse is empty. */
export class WorkExceeded extends Error {}

let purse = 0
/** Work that each step of a comprehension costs in the expression under way. */
let step = 1

/** Fills the purse for one judgement. */
export function fillPurse(units: number): void {
  purse = units
}
/** Takes work from the purse. Throws WorkExceeded when there is not enough, and stays empty. */
export function pay(units: number): void {
  purse -= units
  if (purse < 0) throw new WorkExceeded('the rules need more work than one call may cost')
}
export const isPurseEmpty = (): boolean => purse < 0
export function setStep(units: number): void {
  step = units
}

/** Functions by their names in rules; the value is what is really called. Methods and plain functions alike. */
export const METHODS: Readonly<Record<string, string>> = {
  startsWith: 'startsWith',
  endsWith: 'endsWith',
  contains: 'weirContains',
  matches: 'weirMatches',
  lowerAscii: 'weirLower',
  upperAscii: 'weirUpper',
  size: 'weirSize',
  atLeast: 'weirAtLeast',
  hour: 'weirHour',
  minute: 'weirMinute',
  weekday: 'weirWeekday',
  day: 'weirDay',
  month: 'weirMonth',
  year: 'weirYear',
  date: 'weirDate',
  time: 'weirTime',
  all: 'all',
  exists: 'exists',
  exists_one: 'exists_one',
  filter: 'filter',
}
export const FUNCTIONS: Readonly<Record<string, string>> = {
  size: 'weirSize',
  has: 'has',
  int: 'int',
  double: 'double',
  string: 'string',
  bool: 'bool',
  type: 'type',
  timestamp: 'timestamp',
  duration: 'duration',
}
/** Comprehensions: what they go through is counted first. */
export const LOOPS = new Set(['all', 'exists', 'exists_one', 'filter'])
/** The argument of these has to be written out, so that it is checked, and compiled, when the config loads. */
export const LITERAL_ONLY = new Set([
  'matches',
  'hour',
  'minute',
  'weekday',
  'day',
  'month',
  'year',
  'date',
  'time',
  'duration',
  'atLeast',
])
/** What counts the elements of a list before they are gone through. */
export const COUNTED = 'weirCounted'

type Compiled = { readonly regex: RE2JS; readonly steps: number }
const regexes = new Map<string, Compiled>()
const REGEXES_MAX = 5_000

/** A regular expression of RE2: linear in the text, whatever the pattern. Throws an Error that says what is wrong with it. */
export function compileRegex(pattern: string): Compiled {
  const known = regexes.get(pattern)
  if (known) return known
  if (pattern.length > REGEX_MAX_CHARS) throw new Error(`is longer than ${REGEX_MAX_CHARS} characters`)
  let regex: RE2JS
  try {
    regex = RE2JS.compile(pattern)
  } catch (error) {
    throw new Error(`is not a regular expression of RE2 (${(error as Error).message.slice(0, 100)})`)
  }
  const steps = regex.programSize()
  if (steps > REGEX_PROGRAM_MAX) throw new Error('is too large once its repetitions are written out')
  if (regexes.size >= REGEXES_MAX) regexes.clear()
  const compiled = { regex, steps }
  regexes.set(pattern, compiled)
  return compiled
}

function matches(text: string, pattern: string): boolean {
  const { regex, steps } = compileRegex(pattern)
  pay(1 + (text.length * steps) / REGEX_STEPS_A_UNIT)
  return regex.matcher(text).find()
}

function contains(text: string, part: string): boolean {
  // The search of V8 may compare every character of one with every character of the other.
  pay(1 + (text.length * Math.min(part.length, text.length)) / (CHARS_A_UNIT * 8))
  return text.includes(part)
}

const VERSION = /^v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:[-+. ].{0,80})?$/s

/** Whether a version is at least another: their first three numbers count, and what is missing is 0. */
function atLeast(version: string, least: string): boolean {
  const [a, b] = [VERSION.exec(version.slice(0, 100)), VERSION.exec(least)]
  if (!a || !b) throw new Error('is no version')
  for (let i = 1; i <= 3; i++) {
    const difference = Number(a[i] ?? 0) - Number(b[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}
export const isVersion = (text: string): boolean => VERSION.test(text)

function lengthOf(text: string): bigint {
  pay(1 + text.length / CHARS_A_UNIT)
  return BigInt(codePoints(text))
}

const two = (n: number): string => String(n).padStart(2, '0')
const sizeOfMap = (map: object): bigint => BigInt(map instanceof Map ? map.size : Object.keys(map).length)

/** Counts what a comprehension is about to go through. */
function counted(range: unknown): unknown {
  const elements = Array.isArray(range)
    ? range.length
    : typeof range === 'object' && range !== null
      ? Number(sizeOfMap(range))
      : 0
  pay(elements * step)
  return range
}

/** Adds what rules may call to an environment. */
export function addFunctions(environment: Environment): void {
  mixNumbers(environment)
  const add = (signature: string, work: (...values: never[]) => unknown): void => {
    environment.registerFunction(
      signature,
      work as (...values: unknown[]) => unknown,
      { async: false } as never,
    )
  }
  add(`${COUNTED}(dyn): dyn`, (range: unknown) => counted(range))
  add('string.weirContains(string): bool', contains)
  add('string.weirMatches(string): bool', matches)
  add('string.weirAtLeast(string): bool', atLeast)
  const lower = (text: string): string => {
    pay(1 + text.length / CHARS_A_UNIT)
    return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
  }
  const upper = (text: string): string => {
    pay(1 + text.length / CHARS_A_UNIT)
    return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase())
  }
  add('string.weirLower(): string', lower)
  add('string.weirUpper(): string', upper)
  for (const [of, work] of [
    ['string', lengthOf],
    ['list', (list: unknown[]) => BigInt(list.length)],
    ['map', sizeOfMap],
  ] as const) {
    add(`weirSize(${of}): int`, work as (...values: never[]) => unknown)
    add(`${of}.weirSize(): int`, work as (...values: never[]) => unknown)
  }
  const moment = 'google.protobuf.Timestamp'
  const clock = {
    Hour: 'hour',
    Minute: 'minute',
    Weekday: 'weekday',
    Day: 'day',
    Month: 'month',
    Year: 'year',
  } as const
  for (const [name, hand] of Object.entries(clock))
    add(`${moment}.weir${name}(string): int`, (at: Date, zone: string) => BigInt(shownIn(zone, at)[hand]))
  add(`${moment}.weirDate(string): string`, (at: Date, zone: string) => {
    const { year, month, day } = shownIn(zone, at)
    return `${year}-${two(month)}-${two(day)}`
  })
  add(`${moment}.weirTime(string): string`, (at: Date, zone: string) => {
    const { hour, minute } = shownIn(zone, at)
    return `${two(hour)}:${two(minute)}`
  })
}
