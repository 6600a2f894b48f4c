import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../config/load.ts'
import { moneyOptions } from '../../config/price-book.ts'
import type { Call } from '../../proxy/call.ts'
import type { Gate } from '../../proxy/gate.ts'
import { makeKeyRing } from '../../proxy/identity/identity.ts'
import { SessionSeal } from '../../proxy/identity/session-id.ts'
import { runStages, type Stage } from '../../proxy/pipeline.ts'
import type { Recorder } from '../../proxy/record.ts'
import { admit } from '../../proxy/stages/admit.ts'
import { authorize } from '../../proxy/stages/authorize.ts'
import { disambiguate } from '../../proxy/stages/disambiguate.ts'
import { identify } from '../../proxy/stages/identify.ts'
import { intend } from '../../proxy/stages/intend.ts'
import { meter } from '../../proxy/stages/meter.ts'
import { reach } from '../../proxy/stages/reach.ts'
import { trace } from '../../proxy/stages/trace.ts'
import { understand } from '../../proxy/stages/understand.ts'
import { InferredRuns } from '../../proxy/telemetry/inferred-runs.ts'

const { config } = parseConfig('', '/w/weir.yaml', {})
const { config: priced } = parseConfig('prices: [{ formula: "args.pages * 0.1" }]', '/w/weir.yaml', {})

test('the stages, and why each stands where it does', () => {
  const stages = [
    admit(config.http, config.listen[0]!.address),
    identify(makeKeyRing({})),
    reach({} as Gate),
    understand(new SessionSeal(randomBytes(32))),
    trace(config, new InferredRuns(), 'parent'),
    disambiguate,
    authorize({} as Gate),
    meter(moneyOptions(priced).prices)!,
    intend({} as Recorder),
  ]
  expect(stages.map((s) => `${s.needs} ${s.name}: ${s.why}`)).toMatchInlineSnapshot(`
    [
      "head admit: a request from a foreign page must not even learn whether a key is valid",
      "head identify: everything after it is decided and recorded by who calls",
      "head reach: once it is known who calls: a server that is not theirs must look like none from the first byte on",
      "params understand: routing, policy and the event all need the message; parsing once is cheaper than scanning",
      "params trace: needs the message; from here on every exit can be found by its trace",
      "params disambiguate: policy judges the message as it was read here: a server must not be able to read another one",
      "target authorize: first of those that know the target: who may not call uses up no limit and learns nothing of a schema",
      "target meter: prices are named by server and tool, and the arguments are still there",
      "target intend: last before forwarding: what is refused earlier had no side effect",
    ]
  `)
})

describe('running stages', () => {
  const call = {} as Call
  const stage = (before: Stage['before']): Stage => ({ name: 'admit', why: '', needs: 'head', before })
  const seen: string[] = []
  const say = (word: string): Stage => stage(() => void seen.push(word))

  test('nothing waits when no stage waits', () => {
    seen.length = 0
    expect(runStages([say('a'), say('b')], call)).toBeUndefined()
    expect(seen).toEqual(['a', 'b'])
    expect(runStages([], call)).toBeUndefined()
  })
  test('one that waits holds up those after it', async () => {
    seen.length = 0
    const waiting = runStages(
      [
        say('a'),
        stage(async () => {
          await null
          seen.push('b')
        }),
        say('c'),
        stage(async () => void seen.push('d')),
        say('e'),
      ],
      call,
    )
    expect(seen).toEqual(['a'])
    await waiting
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e'])
  })
  test('the first refusal ends it, thrown or rejected', async () => {
    seen.length = 0
    const refuse = (): never => {
      throw new Error('no')
    }
    expect(() => runStages([say('a'), stage(refuse), say('b')], call)).toThrow('no')
    await expect(runStages([stage(async () => refuse()), say('c')], call)).rejects.toThrow('no')
    await expect(runStages([stage(async () => {}), stage(refuse), say('d')], call)).rejects.toThrow('no')
    expect(seen).toEqual(['a'])
  })
})
