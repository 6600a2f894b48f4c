/** `weir policy explain`: what each rule says of a call that somebody might make, and what becomes of it. Asks no store. */
import { resolve } from 'node:path'
import type { Variable } from '../../config/expression.ts'
import type { Target } from '../../config/rule.ts'
import { AnnotationFacts, CallerFacts, ClientFacts } from '../../config/rule-facts.ts'
import { RuleSet } from '../../config/ruleset.ts'
import type { Config } from '../../config/schema.ts'
import { loadForAsking } from '../installation.ts'
import { type Column, table } from '../table.ts'
import { clean, jsonLine, print, screen } from '../terminal.ts'
import { CliError, readArgs, type Verb } from '../verb.ts'

const USAGE = `usage: weir policy explain --caller NAME (--tool | --prompt | --resource) SERVER/NAME [--args JSON] [--json]

What each rule of weir.yaml says of a call, and which decides.

  --caller NAME       a caller of weir.yaml (default: local, who calls when there are no callers)
  --tool SERVER/NAME  what is called; or --prompt SERVER/NAME, or --resource SERVER/URI
  --args JSON         arguments, as an object; without it they are not known
  --roles A,B         roles beside those of weir.yaml, as a token would claim them
  --read-only         the tool says of itself that it only reads
  --client NAME/VERSION  what the client says it is
  --at TIME           when, for example 2027-01-31T22:00:00+01:00 (default: now)
  -c, --config FILE   rules and callers of this file (default: ./weir.yaml)`

type Given = {
  caller?: string
  tool?: string
  prompt?: string
  resource?: string
  args?: string
  roles?: string
  'read-only'?: boolean
  client?: string
  at?: string
  config: string
  json?: boolean
}

function callerOf(config: Config, given: Given): CallerFacts {
  const isOpen = Object.keys(config.callers).length === 0
  const name = given.caller ?? 'local'
  const known = Object.hasOwn(config.callers, name) ? config.callers[name]! : null
  if (!known && !(isOpen && name === 'local'))
    throw new CliError(
      `there is no caller "${clean(name)}"`,
      `name one under \`callers\` with --caller (${Object.keys(config.callers).slice(0, 8).join(', ')})`,
      2,
    )
  const team = known?.team ?? ''
  const own = Object.hasOwn(config.teams, team) ? config.teams[team]!.tags : {}
  const roles = [...(known?.roles ?? []), ...(given.roles?.split(',') ?? [])]
  const auth_method = known ? 'api_key' : 'local'
  return new CallerFacts({
    name,
    team,
    project: known?.project ?? '',
    principal: name,
    auth_method,
    roles,
    tags: { ...own, ...known?.tags },
  })
}

function targetOf(given: Given): Target {
  const wanted = (['tool', 'prompt', 'resource'] as const).filter((kind) => given[kind] !== undefined)
  const kind = wanted[0]
  if (wanted.length !== 1 || kind === undefined)
    throw new CliError(`name one tool, prompt or resource\n\n${USAGE}`, '', 2)
  const text = given[kind]!
  const slash = text.indexOf('/')
  if (slash < 1) throw new CliError(`"${clean(text)}" names no server`, `write --${kind} server/name`, 2)
  const method = { tool: 'tools/call', prompt: 'prompts/get', resource: 'resources/read' }[kind]
  const annotations = new AnnotationFacts({ readOnlyHint: given['read-only'] === true })
  return { kind, method, server: text.slice(0, slash), name: text.slice(slash + 1), annotations }
}

function particularsOf(given: Given) {
  let args: Record<string, unknown> | null = {}
  if (given.args !== undefined) {
    try {
      const value: unknown = JSON.parse(given.args)
      args =
        typeof value === 'object' && value !== null && !Array.isArray(value)
          ? (value as Record<string, unknown>)
          : null
    } catch {
      args = null
    }
    if (args === null)
      throw new CliError('--args is no JSON object', `write for example --args '{"amount":5}'`, 2)
  }
  const now = given.at === undefined ? new Date() : new Date(given.at)
  if (Number.isNaN(now.getTime()))
    throw new CliError(
      `--at ${clean(given.at!)} is no moment`,
      'write for example 2027-01-31T22:00:00+01:00',
      2,
    )
  const [name = '', version = ''] = given.client?.split('/') ?? []
  return {
    args,
    args_bytes: Buffer.byteLength(given.args ?? ''),
    client: new ClientFacts(name, version),
    now,
  }
}

const COLUMNS: readonly Column[] = [
  { head: 'rule', min: 10, max: 32, rank: 0 },
  { head: 'effect', min: 6, rank: 0 },
  { head: 'mode', min: 7, rank: 1 },
  { head: 'applies', min: 7, rank: 0 },
  { head: 'because', min: 12, max: 80, rank: 2 },
]

export const explain: Verb = async (argv) => {
  const text = { type: 'string' } as const
  const { values } = readArgs(USAGE, argv, {
    config: { type: 'string', short: 'c', default: 'weir.yaml' },
    caller: text,
    tool: text,
    prompt: text,
    resource: text,
    args: text,
    roles: text,
    'read-only': { type: 'boolean' },
    client: text,
    at: text,
    json: { type: 'boolean' },
  })
  const given = values as Given
  const { config } = loadForAsking(resolve(given.config))
  const caller = callerOf(config, given)
  const target = targetOf(given)
  const particulars = particularsOf(given)
  const unknown = given.args === undefined && target.kind !== 'resource' ? new Set<Variable>(['args']) : null
  const rules = new RuleSet(config.rules)
  const explained = rules.explain(caller, target, particulars, unknown)
  const { verdict, rule, reason, shadow } = rules
    .forCaller(caller, null)
    .forTarget(target)
    .judge(particulars, unknown)
  if (given.json) await print(jsonLine({ verdict, rule, reason, shadow, rules: explained }))
  else {
    const rows = explained.map((one) => [clean(one.rule), one.effect, one.mode, one.applies, clean(one.why)])
    const said = { allow: 'allowed', deny: 'refused', unknown: 'not known without arguments' }[verdict]
    const shadowed =
      shadow.length > 0 ? [`in shadow, would have refused: ${shadow.map(clean).join(', ')}`] : []
    const lines = [
      ...(rows.length > 0 ? [...table(COLUMNS, rows, screen()), ''] : []),
      `${said} by ${clean(rule)}: ${clean(reason)}`,
      ...shadowed,
    ]
    await print(`${lines.join('\n')}\n`)
  }
  return verdict === 'deny' ? 1 : 0
}
