/**
 * `weir key`: makes, rotates, revokes and lists the keys of callers, personal tokens, and tokens of the admin API. A secret is shown
 * once, by the command that made it; weir.yaml keeps its SHA-256.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import {
  createAdminToken,
  createKey,
  ownerOf,
  revokeAdminToken,
  revokeKey,
  rotateKey,
} from '../config/key-edits.ts'
import { expiryMs, isoSeconds, keyId, kindOfKey, makeKey, sha256Hex } from '../config/key-text.ts'
import type { Config } from '../config/schema.ts'
import type { Edit } from '../config/splice.ts'
import { isInForce, takenText, untilTaken, write } from './config-write.ts'
import { durationMs, momentFrom } from './duration.ts'
import { listKeys } from './key-list.ts'
import { clean, endWithReader, jsonLine, print } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir key create <caller> [--team T] [--project P] [--expires 90d] [--scope 'bank/get_*' ...]
                       [--user NAME | --app NAME] [--id ID] [--note TEXT]
       weir key create --admin <name> [--read-only] [--expires 90d]
       weir key rotate <caller>#<id> [--overlap 24h] [--expires 90d]
       weir key revoke <caller>#<id>          one key; <caller> --all for all of a caller; --admin <name>
       weir key revoke -                      the key that is read from standard input
       weir key list [<caller>] [--json]      with the last use of each

The secret is shown once; weir.yaml keeps its SHA-256. What runs here goes by the change within a second.

  --scope PATTERN   what the key is limited to, as server/tool with * as wildcard; may be repeated
  --user, --app     a personal token, or one of an application: the tag of its calls
  --expires         a time from now (90d), a day or a moment
  --overlap         how long the old key goes on beside the new one (default 24h; 0s: not at all)
  --json            one JSON object a line
  -c, --config      the config file (default: ./weir.yaml)`

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  team: { type: 'string' },
  project: { type: 'string' },
  expires: { type: 'string' },
  scope: { type: 'string', multiple: true },
  user: { type: 'string' },
  app: { type: 'string' },
  id: { type: 'string' },
  note: { type: 'string' },
  overlap: { type: 'string' },
  admin: { type: 'boolean' },
  'read-only': { type: 'boolean' },
  all: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

type Given = {
  [name in Exclude<keyof typeof OPTIONS, 'scope' | 'admin' | 'read-only' | 'all' | 'json'>]?: string
} & { scope?: string[]; admin?: boolean; 'read-only'?: boolean; all?: boolean; json?: boolean }

/** What a word is for that not every key command knows. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  create: ['team', 'project', 'expires', 'scope', 'user', 'app', 'id', 'note', 'admin', 'read-only'],
  rotate: ['expires', 'id', 'overlap'],
  revoke: ['admin', 'all'],
  list: [],
}

/** Makes the edit and says what came of it. Exit code 1 when what runs here does not go by it. */
async function change(
  file: string,
  make: (config: Config) => readonly Edit[],
  given: Given,
  answer: (before: Config) => { json: Record<string, unknown>; text: string },
): Promise<number> {
  const edited = write(file, make)
  const taken = await untilTaken(edited)
  const { json, text } = answer(edited.before)
  await print(given.json ? jsonLine({ ...json, ...taken }) : `${text}\n${takenText(taken)}\n`)
  if (isInForce(taken)) return 0
  process.stderr.write(`weir: ${takenText(taken)}\n`)
  return 1
}

const oneWord = (words: readonly string[], what: string, example: string): string => {
  if (words.length !== 1 || words[0] === '')
    throw new CliError(words.length === 0 ? `which ${what}?` : `one ${what} at a time`, `write ${example}`, 2)
  return words[0]!
}

async function create(file: string, words: readonly string[], given: Given): Promise<number> {
  const now_ms = Date.now()
  const name = oneWord(
    words,
    given.admin ? 'name' : 'caller',
    'for example: weir key create rm-agent --team research',
  )
  const expires = given.expires === undefined ? undefined : momentFrom(given.expires, '--expires', now_ms)
  const key = makeKey(given.admin ? 'admin' : 'caller')
  if (given.admin) {
    const beside = ['team', 'project', 'scope', 'user', 'app', 'id'].find(
      (one) => given[one as 'team'] !== undefined,
    )
    if (beside) throw new CliError(`--${beside} is not for admin tokens`, 'leave it out', 2)
    const wish = { name, may: given['read-only'] ? 'read' : 'write', expires, note: given.note } as const
    return change(
      file,
      (config) => createAdminToken(config, key, wish, now_ms),
      given,
      () => ({
        json: { admin: name, key: key.text, expires },
        text: `${key.text}\n\nadmin token ${clean(name)}, shown this once; send it as "Authorization: Bearer …"`,
      }),
    )
  }
  if (given['read-only'])
    throw new CliError('--read-only is for admin tokens', 'add --admin, or leave it out', 2)
  const { id, scope, user, app, note, team, project } = given
  const wish = { id, scope, user, app, note, expires }
  return change(
    file,
    (config) => createKey(config, name, key, wish, { team, project }, now_ms),
    given,
    (before) => ({
      json: { caller: name, id: id ?? key.id, key: key.text, expires, scope },
      text: `${key.text}\n\nkey ${clean(`${name}#${id ?? key.id}`)}, shown this once; send it as "Authorization: Bearer …"${
        Object.keys(before.callers).length === 0
          ? '\nIt is the first key: from now on every client has to show one.'
          : ''
      }`,
    }),
  )
}

/** `caller#id`; the last # counts, for ids have none. */
function partsOf(word: string): { caller: string; id: string } {
  const at = word.lastIndexOf('#')
  if (at <= 0 || at === word.length - 1)
    throw new CliError(`"${clean(word)}" names no key`, 'write <caller>#<id>; `weir key list` shows them', 2)
  return { caller: word.slice(0, at), id: word.slice(at + 1) }
}

async function rotate(file: string, words: readonly string[], given: Given): Promise<number> {
  const now_ms = Date.now()
  const { caller, id } = partsOf(oneWord(words, 'key', 'for example: weir key rotate rm-agent#k3x9m2qa'))
  const overlap_ms = durationMs(given.overlap ?? '24h')
  if (!(overlap_ms >= 0))
    throw new CliError(
      `--overlap ${clean(given.overlap ?? '')} is not a duration`,
      'write for example 2h or 7d',
      2,
    )
  const expires = given.expires === undefined ? undefined : momentFrom(given.expires, '--expires', now_ms)
  const key = makeKey()
  const wish = { id: given.id, expires }
  return change(
    file,
    (config) => rotateKey(config, caller, id, key, wish, overlap_ms, now_ms),
    given,
    (before) => {
      const old = before.callers[caller]!.keys.find((one) => keyId(one) === id)!
      const until = isoSeconds(Math.min(expiryMs(old), now_ms + overlap_ms))
      return {
        json: {
          caller,
          id: given.id ?? key.id,
          key: key.text,
          expires,
          old_id: id,
          old_expires: until,
        },
        text: `${key.text}\n\nkey ${clean(`${caller}#${given.id ?? key.id}`)}, shown this once; ${clean(id)} is refused from ${until}`,
      }
    },
  )
}

async function revoke(file: string, words: readonly string[], given: Given): Promise<number> {
  const word = oneWord(words, 'key', 'for example: weir key revoke rm-agent#k3x9m2qa')
  if (given.admin)
    return change(
      file,
      (config) => revokeAdminToken(config, word),
      given,
      () => ({
        json: { admin: word, revoked: true },
        text: `admin token ${clean(word)} revoked`,
      }),
    )
  let caller = ''
  let id: string | null = null
  if (given.all) caller = word
  else if (word !== '-') ({ caller, id } = partsOf(word))
  const secret = word === '-' ? (await readAll(process.stdin)).trim() : ''
  if (word === '-' && secret === '') throw new CliError('there is no key on standard input', 'pipe it in', 2)
  const make = (config: Config): readonly Edit[] => {
    if (word === '-') {
      const owner = ownerOf(config, sha256Hex(secret))
      if (!owner)
        throw new CliError(
          'nobody has this key',
          kindOfKey(secret) === null
            ? 'it is none that Weir made, or was cut or mistyped'
            : 'it was revoked already, or is of another installation',
        )
      ;({ caller, id } = owner)
    }
    return revokeKey(config, caller, id)
  }
  return change(file, make, given, () => ({
    json: { caller, ...(id === null ? {} : { id }), revoked: true },
    text: id === null ? `all keys of ${clean(caller)} revoked` : `key ${clean(`${caller}#${id}`)} revoked`,
  }))
}

export const verb: Verb = async (argv) => {
  const { values, positionals } = readArgs(USAGE, argv, OPTIONS, 3)
  const given = values as Given
  const [what, ...words] = positionals
  if (what === undefined || !Object.hasOwn(ONLY, what))
    throw new CliError(
      `${what === undefined ? 'create, rotate, revoke or list?' : `there is no "${clean(what)}"`}\n\n${USAGE}`,
      '',
      2,
    )
  const odd = Object.keys(given).find((name) => !['config', 'json', ...ONLY[what]!].includes(name))
  if (odd)
    throw new CliError(`weir key ${what} takes no --${odd}`, '`weir key --help` shows what it takes', 2)
  const file = resolve(given.config ?? 'weir.yaml')
  if (!existsSync(file))
    throw new CliError(
      `there is no ${file}`,
      given.config ? 'check the path' : 'go to the folder that has it, or name it with --config',
    )
  endWithReader()
  if (what === 'create') return create(file, words, given)
  if (what === 'rotate') return rotate(file, words, given)
  if (what === 'revoke') return revoke(file, words, given)
  await listKeys(given, words[0])
  return 0
}
