/** The page about rules says what they do: its table is judged by its own rules. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseConfig } from '../../config/load.ts'
import { AnnotationFacts, CallerFacts, NO_CLIENT } from '../../config/rule-facts.ts'
import { FUNCTIONS, METHODS } from '../../config/rule-functions.ts'
import { RuleSet } from '../../config/ruleset.ts'

const page = readFileSync(new URL('../../docs/rules.md', import.meta.url), 'utf8')
const { config } = parseConfig(/```yaml\n([\s\S]*?)```/.exec(page)![1]!, '/w/weir.yaml', {})
const rows = [
  ...page.matchAll(
    /^\| (\S+) \| (\w+)\/(\w+)(, read-only)? \| `(.*?)` \| (\S*) ?\| (allowed|refused) by (.*?) \|$/gm,
  ),
]
const rules = new RuleSet(config.rules)

test('the table has its rows', () => expect(rows.length).toBe(12))
test.each(rows.map((row) => row.slice(1)))(
  '%s calls %s/%s%s with %s %s: %s by %s',
  (name, server, tool, readOnly, args, at, verdict, rule) => {
    const { team, roles } = config.callers[name!]!
    const caller = new CallerFacts({
      name: name!,
      team,
      project: '',
      principal: '',
      auth_method: 'api_key',
      roles,
      tags: {},
    })
    const annotations = new AnnotationFacts({ readOnlyHint: readOnly !== undefined })
    const target = { kind: 'tool', method: 'tools/call', server: server!, name: tool!, annotations } as const
    const now = at ? new Date(at) : new Date('2026-11-20T10:00:00Z')
    const said = rules
      .forCaller(caller, null)
      .forTarget(target)
      .judge({ args: JSON.parse(args!), args_bytes: args!.length, client: NO_CLIENT, now })
    expect(said).toMatchObject({ verdict: verdict === 'allowed' ? 'allow' : 'deny', rule })
  },
)
test('every function is named', () => {
  for (const name of [...Object.keys(METHODS), ...Object.keys(FUNCTIONS)])
    expect(page, name).toMatch(new RegExp(`[\`.]${name}[\`(]`))
})
