/** What rules cost a call: none, ten, a thousand; settled once for a caller and a tool, or asked for every call. */
import { parseConfig } from '../../config/load.ts'
import { RuleSet } from '../../config/ruleset.ts'
import { Definitions } from '../../proxy/definitions.ts'
import { Gate } from '../../proxy/gate.ts'
import { ListedPrompts } from '../../proxy/listed-prompts.ts'
import { ambiguityIn } from '../../proxy/mcp/ambiguity.ts'
import { authorize } from '../../proxy/stages/authorize.ts'
import { reach } from '../../proxy/stages/reach.ts'
import { readMessage } from '../../proxy/stages/understand.ts'
import { newCall, session } from './fixtures.ts'
import { micro, report } from './measure.ts'

const call = newCall('legacy', 0)
readMessage(call, () => session(0))
call.server = 'stub'
call.upstream_protocol_version = call.protocol_version

function gateOf(rules: readonly string[]): Gate {
  const { config } = parseConfig(
    `rules:\n${rules.map((rule) => `  - ${rule}`).join('\n')}`,
    '/w/weir.yaml',
    {},
  )
  const definitions = new Definitions(() => Promise.reject(new Error('asks nobody')))
  definitions.isWanted = true
  const tool = { name: call.tool, inputSchema: { type: 'object' } }
  definitions.listed(call, 'stub', call.protocol_version, { result: { tools: [tool] } })
  return new Gate(
    new RuleSet(config.rules),
    definitions,
    new ListedPrompts(() => Promise.reject(new Error('asks nobody'))),
  )
}
const many = (count: number, rule: (i: number) => string): string[] => [
  '{ allow: all }',
  ...Array.from({ length: count - 1 }, (_, i) => rule(i)),
]
const measured = (name: string, rules: readonly string[]): void => {
  const stage = authorize(gateOf(rules))
  micro(
    name,
    () => {
      call.decision = null
      return stage.before(call)
    },
    { stage: 'authorize' },
  )
}

// No rules: there is no stage. What is left to measure is the list it is not in.
micro('0 rules: no stage', () => call.method, { stage: 'authorize' })
for (const count of [10, 1000]) {
  measured(
    `${count} rules by patterns`,
    many(count, (i) => `{ deny: d${i}, servers: other${i}, tools: x* }`),
  )
  measured(
    `${count} rules by caller and tool`,
    many(count, (i) => `{ deny: d${i}, when: "caller.team == 'x${i}' && tool.name.startsWith('t')" }`),
  )
  measured(
    `${count} rules on other tools' arguments`,
    many(count, (i) => `{ deny: d${i}, when: "tool.name == 'x${i}' && args.amount > ${i}" }`),
  )
}
measured('1 rule on the arguments', ['{ deny: d, when: "size(args) > 100" }'])
measured('1 rule on the hour', ['{ deny: d, when: "now.hour(\'Europe/Berlin\') == 25" }'])
measured(
  '10 rules on the arguments of this tool',
  many(11, (i) => `{ deny: d${i}, when: "has(args.a${i}) && args.a${i} > ${i}" }`),
)
measured(
  '1000 rules on the arguments of this tool',
  many(1001, (i) => `{ deny: d${i}, when: "has(args.a${i}) && args.a${i} > ${i}" }`),
)
const head = reach(gateOf(many(1000, (i) => `{ deny: d${i}, servers: other${i} }`)))
micro('reach: 1000 rules', () => head.before(call), { stage: 'authorize' })
micro('disambiguate: the message as it is written', () => ambiguityIn(call.text, call.message!), {
  stage: 'authorize',
})
report()
