/**
 * Settings of API keys and personal tokens: an entry of `callers.<name>.keys`, and of `admin.tokens`. What a key is called and how
 * long it holds. Pure.
 */
import { z } from 'zod'
import { keyId } from './key-text.ts'
import { meta, moment } from './leaves.ts'

export const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$/
/** `server/tool`, each with * as wildcard. */
export const SCOPE_PATTERN = /^[A-Za-z0-9*][A-Za-z0-9*-]{0,39}\/[^\s/][^\s]{0,199}$/

const sha256 = z
  .string()
  .regex(
    /^[0-9a-f]{64}$/,
    'expected 64 lower-case hex digits, the SHA-256 of the key, for example the output of: printf %s "$KEY" | sha256sum',
  )

const common = {
  sha256: sha256.meta(meta('SHA-256 of the secret in hex; the secret itself is never stored')),
  created: moment.optional().meta(meta('When it was made', { example: '2026-11-01' })),
  expires: moment.optional().meta(meta('Day or moment from which it is refused', { example: '2027-01-31' })),
  note: z.string().max(200).optional().meta(meta('What it is for')),
}

const label = z.string().min(1).max(200)

export const callerKey = z
  .strictObject({
    ...common,
    id: z
      .string()
      .regex(KEY_ID, 'expected up to 40 letters, digits, ".", "_" and "-", for example laptop')
      .optional()
      .meta(meta('Name of the key in events (`caller#id`); default: the first 8 digits of sha256')),
    scope: z
      .array(
        z.string().regex(SCOPE_PATTERN, 'expected server/tool with * as wildcard, for example bank/get_*'),
      )
      .min(1, 'would allow nothing: name what the key is for, or leave it out for all, for example [bank/*]')
      .max(100)
      .optional()
      .meta(
        meta('What the key is limited to, as server/tool with * as wildcard', { example: '[bank/get_*]' }),
      ),
    user: label.optional().meta(meta('Whose personal token it is; becomes the tag `user` of its calls')),
    app: label
      .optional()
      .meta(meta('Which application it stands for (a virtual account); becomes the tag `app` of its calls')),
  })
  .superRefine((key, context) => {
    if (key.user !== undefined && key.app !== undefined)
      context.addIssue({
        code: 'custom',
        path: ['app'],
        message: 'stands beside `user`: a token is of a person or of an application, for example user: ada',
      })
  })

export const adminToken = z.strictObject({
  ...common,
  name: z
    .string()
    .regex(KEY_ID, 'expected up to 40 letters, digits, ".", "_" and "-", for example ci')
    .meta(meta('Who uses it; the record of changes names it', { example: 'platform-ci' })),
  may: z
    .enum(['read', 'write'])
    .default('write')
    .meta(meta('read: it sees the settings and changes nothing')),
})

export type CallerKey = z.output<typeof callerKey>
export type AdminToken = z.output<typeof adminToken>

/** No key twice: not the secret, and not its name within a caller. */
export function checkKeys(
  callers: Readonly<Record<string, { readonly keys: readonly CallerKey[] }>>,
  add: (path: PropertyKey[], message: string, fix: string) => void,
): void {
  const owners = new Map<string, string>()
  for (const [name, caller] of Object.entries(callers)) {
    const ids = new Set<string>()
    caller.keys.forEach((key, i) => {
      const at = ['callers', name, 'keys', i]
      const other = owners.get(key.sha256)
      if (other !== undefined)
        add([...at, 'sha256'], `the same key already belongs to ${other}`, 'give each caller keys of its own')
      owners.set(key.sha256, name)
      const id = keyId(key)
      if (ids.has(id))
        add([...at, 'id'], `${name} has another key ${id}`, 'give each key of a caller an id of its own')
      ids.add(id)
    })
  }
}
