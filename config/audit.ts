/**
 * A config as the record of changes sees it: entries by section and name, fit to be shown. Sections that hold no secrets are shown
 * as they are, with digests of keys cut; of all others an entry is a fingerprint. Pure.
 * Invariant: no secret and no whole digest of one is in what this returns.
 */
import { keyId } from './key-text.ts'
import type { Config } from './schema.ts'

/** Section → name of the entry → JSON text. */
export type AuditView = Readonly<Record<string, Readonly<Record<string, string>>>>
export type Difference = { section: string; name: string; before: string; after: string }

/** Sections whose values may be read by whoever reads the record. Those that are not there yet are taken once they are. */
const SHOWN = new Set([
  'anomalies',
  'auth',
  'budgets',
  'callers',
  'capture',
  'durability',
  'http',
  'labels',
  'limits',
  'prices',
  'retention',
  'roof',
  'rules',
  'runs',
  'slos',
  'teams',
  'trace',
  'validation',
  'workers',
])
/** Values that are secrets wherever they stand. */
const SECRET_NAME =
  /secret|passw|passphrase|token|bearer|credential|authorization|cookie|api_?key|private_?key|sha256/i
const NO_SECRET_NAME = /_usd$/
const DIGEST = /^[0-9a-f]{64}$/

type Entry = Readonly<Record<string, unknown>>
const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** As JSON with its keys in order, without secrets, so that equal entries are equal texts. */
function shown(value: unknown, fingerprint: (text: string) => string, name = ''): unknown {
  if (typeof value === 'string') {
    if (DIGEST.test(value)) return `${value.slice(0, 8)}…`
    return SECRET_NAME.test(name) && !NO_SECRET_NAME.test(name)
      ? fingerprint(value)
      : value.replace(/:\/\/[^\s/"@]+@/g, '://[secret]@')
  }
  if (Array.isArray(value)) return value.map((inner) => shown(inner, fingerprint, name))
  if (!isEntry(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, shown(value[key], fingerprint, key)]),
  )
}

const textOf = (...parts: unknown[]): string =>
  parts.filter((part) => typeof part === 'string' && part !== '').join('/')

/** What an entry of a list is called: by what it says itself, else by its place. */
function nameIn(section: string, entry: unknown, index: number): string {
  if (!isEntry(entry)) return `${index + 1}`
  const { name, allow, deny, id, scope, period, server, tool, valid_from, per } = entry
  if (section === 'budgets') return textOf(scope, name, period)
  if (section === 'prices') return textOf(server, tool, valid_from)
  const said = [allow, deny, name, id].find((one) => typeof one === 'string' && one !== '')
  if (typeof said === 'string') return said
  return Array.isArray(per) ? `per ${per.join(', ')}` : textOf(server, tool) || `${index + 1}`
}

/** The entries of a section with the names they go by; a name that is there again gets a number. */
export function byName(section: string, value: unknown): [string, unknown][] {
  if (!Array.isArray(value)) return isEntry(value) ? Object.entries(value) : [['', value]]
  const seen = new Map<string, number>()
  return value.map((entry, i) => {
    const name = nameIn(section, entry, i)
    const count = (seen.get(name) ?? 0) + 1
    seen.set(name, count)
    return [count > 1 ? `${name} (${count})` : name, entry]
  })
}

/** `fingerprint` tells two texts apart and nothing else about them. */
export function auditView(config: Config, fingerprint: (text: string) => string): AuditView {
  const view: Record<string, Record<string, string>> = {}
  const put = (section: string, name: string, value: unknown): void => {
    if (value === undefined) return
    view[section] ??= Object.create(null) as Record<string, string>
    view[section][name] =
      SHOWN.has(section) || section === 'keys' || section === 'admin_tokens'
        ? JSON.stringify(shown(value, fingerprint))
        : fingerprint(JSON.stringify(value))
  }
  for (const [section, value] of Object.entries(config)) {
    if (section === 'callers')
      for (const [caller, { keys, ...rest }] of Object.entries(config.callers)) {
        put('callers', caller, rest)
        for (const key of keys) put('keys', `${caller}#${keyId(key)}`, key)
      }
    else if (section === 'admin') {
      const { tokens, ...rest } = config.admin
      for (const token of tokens) put('admin_tokens', token.name, token)
      put('admin', '', rest)
    } else for (const [name, entry] of byName(section, value)) put(section, name, entry)
  }
  return view
}

/** What differs, in the order of sections and names. */
export function differences(before: AuditView, after: AuditView): Difference[] {
  const found: Difference[] = []
  for (const section of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) {
    const [a, b] = [before[section] ?? {}, after[section] ?? {}]
    for (const name of [...new Set([...Object.keys(a), ...Object.keys(b)])].sort())
      if (a[name] !== b[name]) found.push({ section, name, before: a[name] ?? '', after: b[name] ?? '' })
  }
  return found
}

/** The paths of weir.yaml under which an entry of the record stands, as far as they are known by name. */
export function placeOf({ section, name }: Pick<Difference, 'section' | 'name'>): readonly string[] {
  if (section === 'keys') return ['callers', name.slice(0, name.lastIndexOf('#')), 'keys']
  if (section === 'admin_tokens') return ['admin', 'tokens']
  return section === 'callers' && name !== '' ? [section, name] : [section]
}
