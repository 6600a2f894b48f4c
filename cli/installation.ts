/**
 * Finds the installation a command asks: weir.yaml, then its data folder, then the note of what runs there.
 * The asking commands need no secrets of upstream servers, so variables that are not set in this shell do not stop them.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { ConfigError, type Env, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { type RunNote, readNote } from '../supervisor/data-folder.ts'
import { CliError } from './verb.ts'

/** The options every asking command takes. */
export const STORE_OPTIONS = {
  config: { type: 'string', short: 'c' },
  url: { type: 'string' },
  user: { type: 'string' },
  password: { type: 'string' },
} as const

export const STORE_USAGE = `  -c, --config FILE   the installation to ask (default: ./weir.yaml)
  --url URL           ask this ClickHouse instead, with --user and --password`

export type StoreAddress = { url: string; user: string; password: string; database: string }

export type Installation = {
  /** Absolute; it may not exist when --url was given. */
  readonly file: string
  readonly config: Config | null
  /** What runs on the data folder; null when nothing does. */
  readonly note: RunNote | null
  /** Variables the config asks for and this shell does not have. */
  readonly unset: readonly string[]
  readonly store: StoreAddress
  /** Base addresses, '' when unknown. */
  readonly proxy: string
  readonly collector: string
}

type Values = {
  config?: string | undefined
  url?: string | undefined
  user?: string | undefined
  password?: string | undefined
}

/** Stands in for a variable that is not set: long enough for any secret, and nothing a server would take. */
const PLACEHOLDER = 'not-set-in-this-shell'

/**
 * Does something with a config although variables are missing. `work` is tried again with what stands in for them, whose names are
 * in `unset`; every other ConfigError is thrown, and the first one when the second try finds more.
 */
export function withoutVariables<T>(work: (env: Env, unset: readonly string[]) => T): T {
  try {
    return work(process.env, [])
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const unset = error.problems.map(
      (p) => /^the environment variable (\w+) is not set$/.exec(p.message)?.[1],
    )
    if (unset.length === 0 || unset.some((name) => name === undefined)) throw error
    const names = [...new Set(unset as string[])]
    try {
      return work({ ...process.env, ...Object.fromEntries(names.map((name) => [name, PLACEHOLDER])) }, names)
    } catch (again) {
      throw again instanceof ConfigError ? error : again
    }
  }
}

/** Reads a config although variables are missing. Throws ConfigError for everything else. */
export const loadForAsking = (file: string): { config: Config; unset: readonly string[] } =>
  withoutVariables((env, unset) => ({ config: loadConfig(file, env).config, unset }))

/** 0.0.0.0 and [::] are where one listens, not where one calls. */
export function dialable(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')
}

const firstUrl = ({ address, tls }: Config['listen'][number]): string =>
  `${tls ? 'https' : 'http'}://${address}`

function checkUrl(url: string): string {
  try {
    const { protocol, origin, pathname } = new URL(url)
    if (protocol !== 'http:' && protocol !== 'https:') throw new Error('not HTTP')
    return `${origin}${pathname}`.replace(/\/$/, '')
  } catch {
    throw new CliError(
      `--url ${url} is not an http:// or https:// URL`,
      'write for example --url http://127.0.0.1:7334',
      2,
    )
  }
}

/** Throws ConfigError, or CliError when there is nothing to go by. */
export function findInstallation(values: Values): Installation {
  const file = resolve(values.config ?? 'weir.yaml')
  const url = values.url === undefined ? undefined : checkUrl(values.url)
  let loaded: ReturnType<typeof loadForAsking> | null = null
  if (values.config === undefined && !existsSync(file)) {
    if (url === undefined)
      throw new CliError(
        `there is no weir.yaml in ${resolve('.')}`,
        'go to the folder that has it, name it with --config, or name the store with --url',
      )
  } else
    try {
      loaded = loadForAsking(file)
    } catch (error) {
      // With a URL the config only lends its credentials; one that nobody named may as well be broken.
      if (url === undefined || values.config !== undefined) throw error
    }
  const config = loaded?.config ?? null
  const note = config && readNote(config.data)
  const isExternal = config?.store.url !== undefined
  return {
    file,
    config,
    note,
    unset: loaded?.unset ?? [],
    store: {
      url:
        url ??
        dialable(config!.store.url?.replace(/\/$/, '') ?? (note?.store || `http://${config!.store.listen}`)),
      user:
        values.user ??
        (isExternal ? config.store.user || 'default' : config?.store.reader_password ? 'reader' : 'default'),
      password:
        values.password ?? (isExternal ? config.store.password : (config?.store.reader_password ?? '')),
      database: isExternal ? config.store.database : 'weir',
    },
    proxy: dialable(note?.listen || (config ? firstUrl(config.listen[0]!) : '')),
    collector: dialable(note?.console || (config ? `http://${config.console.listen}` : '')),
  }
}
