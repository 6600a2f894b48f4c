/**
 * What a wrapped server's calls are recorded by: the config of the installation they belong to, and who calls.
 * MCP clients start commands wherever they like (often in `/`), so the config is looked for in the working folder, then in
 * ~/.weir, and nowhere else: a server that records where nobody looks would be worse than one that says what is missing.
 */
import { existsSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Config } from '../../config/schema.ts'
import type { Identity } from '../../proxy/identity/identity.ts'
import { CliError } from '../verb.ts'

export type Settings = {
  readonly config: Config
  /** Whose spool the events go to. */
  readonly data: string
  readonly identity: Identity | null
}

export type Wanted = { config?: string | undefined; data?: string | undefined }

/** The config file to go by; null when a data folder alone was named. */
export function findConfig({ config, data }: Wanted): string | null {
  if (config !== undefined) {
    if (!existsSync(config))
      throw new CliError(
        `there is no file ${resolve(config)}; name the weir.yaml of your Weir, or write one: weir init --config ${resolve(config)}`,
      )
    return resolve(config)
  }
  if (data !== undefined) return null
  const home = join(homedir(), '.weir', 'weir.yaml')
  const found = [resolve('weir.yaml'), home].find((file) => existsSync(file))
  if (found === undefined)
    throw new CliError(
      `there is no weir.yaml in ${resolve('.')} and none in ${join(homedir(), '.weir')}; name it: weir wrap --config /path/to/weir.yaml -- <command>`,
    )
  return found
}

/** Reads the settings. Throws for a config that cannot be used; without a file there is nothing to fail. */
export async function readSettings(file: string | null, { data }: Wanted): Promise<Settings> {
  const { loadForAsking } = await import('../installation.ts')
  const { parseConfig } = await import('../../config/load.ts')
  // Variables of other servers need not be set where this one is started.
  const { config } = file === null ? parseConfig('', 'weir.yaml') : loadForAsking(file)
  if (config.durability === 'strict')
    throw new CliError(
      `${file} asks for durability: strict, and a wrapped server cannot be held back until a call is on the disk; let Weir run it instead (servers: in weir.yaml), or name another installation with --data`,
    )
  return {
    config,
    data: data === undefined ? config.data : resolve(data),
    identity: await identityOf(config, process.env.WEIR_KEY),
  }
}

/** Whose calls these are. A key that is not valid belongs to nobody: the event says so, and the server runs all the same. */
async function identityOf(config: Config, key: string | undefined): Promise<Identity | null> {
  const { identify, makeKeyRing } = await import('../../proxy/identity/identity.ts')
  const isOpen = key === undefined || key === ''
  const ring = makeKeyRing(isOpen ? {} : config.callers, config.teams)
  return identify(ring, isOpen ? undefined : `Bearer ${key}`, true, Date.now())
}

/** Names of variables that hold secrets by custom. */
const SECRET_NAME = /key|token|secret|passw|pwd|credential|auth/i
const SECRET_MIN_CHARS = 8

/** What the server was given in its environment and must not be seen in an error text. */
export const environmentSecrets = (): string[] =>
  Object.entries(process.env).flatMap(([name, value]) =>
    SECRET_NAME.test(name) && value !== undefined && value.length >= SECRET_MIN_CHARS ? [value] : [],
  )

/** Whether a folder of PATH is there only because npx fetched us: it has our own Node in it. */
function isOfNpx(folder: string): boolean {
  if (!/\/_npx\/[^/]+\/node_modules\/\.bin$/.test(folder)) return false
  try {
    return realpathSync(join(folder, 'node')) === realpathSync(process.execPath)
  } catch {
    return false
  }
}

/**
 * The server's environment: what the client gave us, less what is only ours. npx puts the folder with our Node in front of
 * PATH; a server that asks for `node` is to find the one it would find without us.
 */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const { WEIR_KEY: _ours, ...env } = process.env
  const folders = env.PATH?.split(':') ?? []
  if (folders.some(isOfNpx))
    env.PATH = [...folders.filter((f) => !isOfNpx(f)), ...folders.filter(isOfNpx)].join(':')
  return env
}
