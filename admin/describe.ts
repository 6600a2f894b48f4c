/** Shapes of requests and answers, for the OpenAPI document. They describe; what is taken is decided where it is read. */
import { entrySchema } from '../config/json-schema.ts'

type Schema = Readonly<Record<string, unknown>>

const text = (description: string, more: Schema = {}): Schema => ({ type: 'string', description, ...more })
const object = (properties: Record<string, Schema>, required: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  ...(required.length > 0 ? { required } : {}),
})

const moment = (description: string): Schema =>
  text(`${description}: a day, or a moment with its zone`, {
    examples: ['2027-01-31', '2027-01-31T12:00:00Z'],
  })

export const CHANGED: Schema = object(
  {
    changed: { type: 'array', items: { type: 'string' }, description: 'Paths of the settings that differ' },
    sha256: text('SHA-256 of the file as it is now, or would be after a dry run'),
    in_force: { type: 'boolean', description: 'Whether every worker goes by it' },
    dry_run: { type: 'boolean' },
    reason: text('Why it is not in force; only then'),
  },
  ['changed', 'sha256', 'in_force', 'dry_run'],
)

export const PROBLEM: Schema = object(
  {
    error: object(
      {
        code: text('A word for programs'),
        message: text('What was wrong'),
        fix: text('What to do instead'),
        problems: {
          type: 'array',
          description: 'Of a configuration that would not load',
          items: object({
            path: text('Setting'),
            message: text('What is wrong'),
            fix: text('What to write instead'),
            line: { type: 'integer' },
            column: { type: 'integer' },
          }),
        },
      },
      ['code', 'message', 'fix'],
    ),
  },
  ['error'],
)

export const KEY: Schema = object(
  {
    id: text('Name of the key among those of its caller'),
    state: { type: 'string', enum: ['valid', 'expired'] },
    last_used: {
      type: ['string', 'null'],
      examples: ['2026-11-21T09:30:00.000Z'],
      description:
        'Its last call among those that are kept; null: none of them, or not known (`last_used_known` of the caller)',
    },
    created: moment('When it was made'),
    expires: moment('From when it is refused'),
    scope: { type: 'array', items: { type: 'string' }, description: 'server/tool patterns it is limited to' },
    user: text('Whose personal token it is'),
    app: text('Which application it stands for'),
    note: text('What it is for'),
  },
  ['id', 'state', 'last_used'],
)

export const KEY_WISH: Schema = {
  ...object({
    id: text('Default: made up'),
    expires: moment('From when it is refused; default: never'),
    scope: { type: 'array', items: { type: 'string' }, examples: [['bank/get_*']] },
    user: text('Whose personal token it is'),
    app: text('Which application it stands for'),
    note: text('What it is for'),
  }),
  additionalProperties: false,
}

export const ROTATION: Schema = {
  ...object({
    id: text('Of the new key; default: made up'),
    expires: moment('Of the new key'),
    overlap_s: {
      type: 'integer',
      minimum: 0,
      maximum: 31_622_400,
      default: 86_400,
      description: 'Seconds for which the old key goes on',
    },
  }),
  additionalProperties: false,
}

export const NEW_KEY: Schema = object(
  {
    caller: text('Whose it is'),
    id: text('Its name'),
    key: text('The secret, shown this once; absent after a dry run'),
    result: CHANGED,
  },
  ['caller', 'id', 'result'],
)

export const CALLER: Schema = object(
  {
    name: text('Name of the caller'),
    team: text(''),
    project: text(''),
    roles: { type: 'array', items: { type: 'string' } },
    tags: { type: 'object', additionalProperties: { type: 'string' } },
    last_used_known: {
      type: 'boolean',
      description:
        'Whether the store could be asked when its keys were last used; false: every `last_used` is null',
    },
    keys: { type: 'array', items: KEY },
  },
  ['name', 'last_used_known', 'keys'],
)

/** Of a caller, what is set with PUT: everything of its entry but its keys. */
export function callerWish(): Schema {
  const { keys: _, ...properties } = (entrySchema('callers')?.properties ?? {}) as Record<string, Schema>
  return { ...object(properties), additionalProperties: false }
}

export const STATE: Schema = object(
  {
    sha256: text('SHA-256 of the file'),
    in_force_sha256: text('SHA-256 of the text that every worker goes by'),
    in_force: { type: 'boolean' },
    refused: text('Why the file is not in force; empty when it is'),
    writable: { type: 'boolean', description: 'Whether the file may be written here' },
  },
  ['sha256', 'in_force_sha256', 'in_force', 'refused', 'writable'],
)

export const VALIDATION: Schema = object(
  {
    valid: { type: 'boolean' },
    problems: { type: 'array', items: { type: 'object' } },
    warnings: { type: 'array', items: { type: 'string' } },
    changed: { type: 'array', items: { type: 'string' }, description: 'Paths that differ from the file' },
    needs_restart: { type: 'array', items: { type: 'string' } },
  },
  ['valid', 'problems', 'warnings', 'changed', 'needs_restart'],
)

export const named = (section: string): Schema =>
  object({ name: text('What the entry goes by'), entry: entrySchema(section) ?? { type: 'object' } }, [
    'name',
    'entry',
  ])

/** Query and headers of every change. */
export const CHANGE_REQUEST = {
  querystring: object({
    dry_run: { type: 'boolean', description: 'Check everything, change nothing' },
  }),
  headers: object({
    'if-match': text('The ETag of what was read: the change is refused when the file is another by now'),
  }),
} as const

export const answers = (ok: Record<number, Schema>): Record<string, Schema> => ({
  ...Object.fromEntries(Object.entries(ok).map(([status, schema]) => [status, schema])),
  '4xx': PROBLEM,
})
