/**
 * `POST /v1/config-changes`: what was changed in the configuration of an installation. The same changes may come any number of
 * times: they have ids. What decides about access, limits or money is drawn on the charts too.
 */
import { createHash } from 'node:crypto'
import { CHANGE_VALUE_MAX, CHANGED_VIA, CHANGES_MAX, type ConfigChange } from '../../event/config-change.ts'
import { ApiError } from '../api/errors.ts'
import { compactLines, type Store } from '../sink/store.ts'

const VIA = new Set<string>(CHANGED_VIA)
const TEXT_MAX = 600
const VALUE_MAX = CHANGE_VALUE_MAX + 100
/** Of one moment; what is more is a number in the last of them. */
const ANNOTATIONS_MAX = 20

/** Sections whose changes are told on the charts one by one, as `access`: singular of what stands in them. */
const TOLD: Readonly<Record<string, string>> = {
  admin_tokens: 'admin token',
  budgets: 'budget',
  callers: 'caller',
  keys: 'key',
  limits: 'limit',
  rules: 'rule',
  teams: 'team',
}

const isText = (value: unknown, max = TEXT_MAX): value is string =>
  typeof value === 'string' && value.length <= max

function isChange(value: unknown): value is ConfigChange {
  if (typeof value !== 'object' || value === null) return false
  const { id, at_ms, instance, who, via, section, name, before, after } = value as Record<string, unknown>
  return (
    isText(id) &&
    /^[0-9a-f]{32}$/.test(id) &&
    Number.isSafeInteger(at_ms) &&
    (at_ms as number) >= 0 &&
    isText(instance) &&
    isText(who) &&
    VIA.has(via as string) &&
    isText(section) &&
    isText(name) &&
    isText(before, VALUE_MAX) &&
    isText(after, VALUE_MAX)
  )
}

/** Throws ApiError 400 when any of them is not a ConfigChange: a record with holes is worse than one that comes again. */
export function readChanges(body: Buffer): ConfigChange[] {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    value = null
  }
  if (!Array.isArray(value) || value.length > CHANGES_MAX || !value.every(isChange))
    throw new ApiError(
      400,
      'changes_malformed',
      'the body is not a list of configuration changes',
      'see event/config-change.ts, type ConfigChange',
    )
  return value
}

const verbOf = ({ before, after }: ConfigChange): string =>
  before === '' ? 'added' : after === '' ? 'removed' : 'changed'
const byWhom = ({ who, via }: ConfigChange): string =>
  who !== '' ? `by ${who} (${via})` : via === 'start' ? 'while Weir was not running' : 'in the file'

/** Rows of `annotations`: one a change, of at most a few of one moment. */
function annotationsOf(changes: readonly ConfigChange[]): unknown[][] {
  const told = changes.filter(({ section }) => Object.hasOwn(TOLD, section))
  const rows = told.slice(0, ANNOTATIONS_MAX).map((one) => {
    const title = `${TOLD[one.section]} ${one.name.slice(0, 200)} ${verbOf(one)}`
    return [`access:${one.id}`, one.at_ms, 'access', title, byWhom(one), '', '']
  })
  const more = told.length - rows.length
  if (more > 0) rows[rows.length - 1]![4] += `, and ${more} more: weir changes`
  return rows
}

export async function writeChanges(store: Store, changes: readonly ConfigChange[]): Promise<void> {
  if (changes.length === 0) return
  const rows = changes.map((c) => [
    c.id,
    c.at_ms,
    ...[c.instance, c.who, c.via, c.section, c.name, c.before, c.after].map((text) => text.toWellFormed()),
  ])
  const token = createHash('sha256')
    .update(changes.map(({ id }) => id).join(' '))
    .digest('hex')
  await store.insert(
    'config_changes',
    ['id', 'ts', 'instance', 'who', 'via', 'section', 'name', 'before', 'after'],
    compactLines(rows),
    token,
  )
  const annotations = annotationsOf(changes)
  if (annotations.length > 0)
    await store.insert(
      'annotations',
      ['id', 'ts', 'kind', 'title', 'detail', 'server', 'tool'],
      compactLines(annotations),
      token,
    )
}
