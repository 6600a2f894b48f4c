/**
 * Every panel, variable and annotation of every board, asked as Grafana's plugin would: first of a store that has seen
 * nothing, then of one with a known day. Boards are also held to the house's look: titles, meanings, units, links that lead somewhere.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { files } from '../../dashboards/grafana/build.ts'
import { ruleQuestions } from './alert-files.ts'
import {
  ALERT_MOMENT,
  type Answer,
  DAY_START,
  isWeekend,
  type KnownStore,
  RANGE,
  RUN,
  startKnownStore,
  TRACE,
} from './known.ts'
import { asSent, type Choice } from './plugin.ts'
import { BUILT, boards, opening, type Question, questions } from './questions.ts'

const sentFor = (question: Question, chosen: Record<string, Choice> = {}): string =>
  asSent(question.sql, {
    ...RANGE,
    interval_ms: Math.max(question.step_ms, 300_000),
    variables: { ...opening(question.board), ...chosen },
  })

const nameOf = (q: Question): string => `${q.board} › ${q.kind} › ${q.title} ${q.refId}`
let store: KnownStore
const empty = new Map<string, Answer | Error>()
const seeded = new Map<string, Answer | Error>()

async function askAll(into: Map<string, Answer | Error>, chosen: Record<string, Choice>): Promise<void> {
  // A few at a time, as Grafana asks.
  const waiting = [...questions]
  const worker = async (): Promise<void> => {
    for (let question = waiting.shift(); question; question = waiting.shift())
      into.set(nameOf(question), await store.ask(sentFor(question, chosen)).catch((error: Error) => error))
  }
  await Promise.all([worker(), worker(), worker(), worker()])
}

beforeAll(async () => {
  store = await startKnownStore()
  await askAll(empty, {})
  await store.seed()
  await askAll(seeded, { trace_id: TRACE, run_id: RUN })
}, 400_000)
afterAll(() => store?.end(), 60_000)

const answerTo = (board: string, title: string, refId = 'A', from = seeded): Answer => {
  const found = questions.find(
    (q) => q.board === board && q.title === title && (q.refId === refId || q.kind !== 'panel'),
  )
  if (!found) throw new Error(`no question ${board} › ${title} ${refId}`)
  const answer = from.get(nameOf(found))
  if (!answer || answer instanceof Error) throw answer ?? new Error('never asked')
  return answer
}
const value = (board: string, title: string): unknown => answerTo(board, title).rows[0]![0]
const objects = (board: string, title: string, refId = 'A'): Record<string, unknown>[] => {
  const { columns, rows } = answerTo(board, title, refId)
  return rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])))
}
const total = (rows: Record<string, unknown>[], column: string): number =>
  rows.reduce((sum, row) => sum + Number(row[column]), 0)

describe('every question', () => {
  it('is one the store can answer when it is empty', () => {
    expect(
      [...empty].filter(([, a]) => a instanceof Error).map(([name, a]) => `${name}: ${(a as Error).message}`),
    ).toEqual([])
  })

  it('has no figures of nothing: no rows, or one row of zero or null', () => {
    // Sizes and parts are about the store itself, which is there.
    const own = /health › panel › (On disk|Parts|Merges|Tables)|overview › panel › Merges/
    const odd = [...empty].filter(([name, answer]) => {
      if (answer instanceof Error || own.test(name) || answer.rows.length === 0) return false
      return answer.rows.length > 1 || answer.rows[0]!.some((v) => v !== 0 && v !== null)
    })
    expect(odd.map(([name, answer]) => `${name}: ${JSON.stringify((answer as Answer).rows)}`)).toEqual([])
  })

  it('is answered on a day of calls', () => {
    expect(
      [...seeded]
        .filter(([, a]) => a instanceof Error)
        .map(([name, a]) => `${name}: ${(a as Error).message}`),
    ).toEqual([])
  })

  it('shows something of that day, and nothing that is no number', () => {
    const silent = [...seeded].filter(([, a]) => !(a instanceof Error) && a.rows.length === 0)
    expect(silent.map(([name]) => name)).toEqual([])
    const noNumbers = [...seeded].filter(
      ([, a]) => !(a instanceof Error) && /"-?(nan|inf)"/.test(JSON.stringify(a.rows)),
    )
    expect(noNumbers.map(([name]) => name)).toEqual([])
  })

  it('is in time order where it is drawn over time', () => {
    for (const question of questions.filter((q) => q.type === 'timeseries' || q.type === 'heatmap')) {
      const answer = seeded.get(nameOf(question)) as Answer
      expect(answer.columns[0], nameOf(question)).toBe('time')
      const times = answer.rows.map((row) => String(row[0]))
      expect(times, nameOf(question)).toEqual([...times].sort())
    }
  })

  it.each([
    [
      'one choice',
      {
        env: ['test'],
        team: ['research'],
        project: ['advisory'],
        server: ['bank'],
        tool: ['get_balance'],
        caller: ['rm-agent'],
        agent: ['planner'],
      },
    ],
    [
      'several, with hostile names',
      {
        env: ['test', "o'hara"],
        team: ['research', "x') OR 1=1 --"],
        project: ['advisory'],
        server: ['bank', 'a,b'],
        tool: ['get_balance', '(x'],
        caller: ['rm-agent'],
        agent: ['planner', 'ä"ö'],
      },
    ],
  ])(
    'takes %s of each variable',
    async (_name, chosen) => {
      const refused: string[] = []
      for (const question of questions) {
        const known = Object.fromEntries(
          Object.entries(chosen as Record<string, string[]>).filter(
            ([name]) => name in opening(question.board),
          ),
        )
        await store
          .ask(sentFor(question, known))
          .catch((error: Error) => refused.push(`${nameOf(question)}: ${error.message}`))
      }
      expect(refused).toEqual([])
    },
    120_000,
  )
})

describe('on the known day', () => {
  it('counts calls, faults, cost', () => {
    expect(value('overview', 'Calls')).toBe(123)
    expect(value('overview', 'Faults')).toBeCloseTo(4 / 123, 9)
    expect(value('overview', 'Cost')).toBeCloseTo(0.182, 9)
    expect(value('overview', 'Unpriced calls')).toBe(20)
    expect(value('overview', 'Events lost')).toBe(7)
    expect(value('overview', 'Alerts firing')).toBe(1)
    expect(value('overview', 'Open anomalies')).toBe(1)
    expect(Math.abs((value('overview', 'p95') as number) - 0.1)).toBeLessThan(0.0045)
  })

  it('draws rates that add up to the calls', () => {
    const rates = objects('overview', 'Calls per second by outcome')
    expect(total(rates, 'ok') * 300).toBeCloseTo(113, 6)
    expect(total(rates, 'client_failures') * 300).toBeCloseTo(6, 6)
    expect(total(rates, 'faults') * 300).toBeCloseTo(4, 6)
    const byServer = objects('overview', 'Calls per second by server')
    expect(
      total(
        byServer.filter((r) => r.name === 'files'),
        'value',
      ) * 300,
    ).toBeCloseTo(20, 6)
    expect(total(objects('tools', 'Failed calls per second by outcome'), 'denied') * 300).toBeCloseTo(3, 6)
  })

  it('divides the newest step by the time that has passed of it', async () => {
    const question = questions.find(
      (q) => q.title === 'Calls per second by server' && q.board === 'overview',
    )!
    const to = new Date(DAY_START + 12 * 3_600_000 + 100_000)
    const { rows } = await store.ask(
      asSent(question.sql, { from: RANGE.from, to, interval_ms: 300_000, variables: opening('overview') }),
    )
    // Thirty calls are in the bucket; a hundred seconds of it have passed.
    expect(rows.at(-1)![2]).toBeCloseTo(30 / 100, 9)
  })

  it('says what moved since last week, what fails and what is slow', () => {
    const moved = objects('overview', 'Moved most')
    expect(moved.find((r) => r.tool === 'get_balance')).toMatchObject({
      calls: 102,
      calls_week_before: 50,
      fault_share_week_before: 0,
    })
    const fails = objects('overview', 'What fails (last day of the range)')
    expect(fails.map((r) => [r.failures, r.owner])).toEqual(
      expect.arrayContaining([
        [4, 'upstream'],
        [3, 'client'],
        [2, 'client'],
      ]),
    )
    const slow = objects('overview', 'Slowest calls (last day of the range)')
    expect(slow.slice(0, 6).map((r) => r.duration)).toEqual([2, 2, 2, 2, 2, 0.1])
    expect(Number(slow[0]!.link_to) - Number(slow[0]!.link_from)).toBe(7_200_000)
  })

  it('has the figures of a tool, with the percentiles that v_tools has', async () => {
    const row = objects('tools', 'Tools').find((r) => r.tool === 'get_balance')!
    expect(row).toMatchObject({ server: 'bank', calls: 102, longest: 2, retries: 0 })
    expect(row.failed_share).toBeCloseTo(9 / 102, 9)
    const { rows } = await store.ask(
      `SELECT p50_us / 1e6, p95_us / 1e6, p99_us / 1e6 FROM v_tools(from = toDateTime(${RANGE.from.getTime() / 1000}), to = toDateTime(${RANGE.to.getTime() / 1000})) WHERE tool = 'get_balance'`,
    )
    expect([row.p50, row.p95, row.p99]).toEqual(rows[0])
    expect(total(objects('tools', 'Calls by duration'), 'value')).toBe(123)
    expect(objects('tools', 'Percentiles, and slow calls', 'B')).toHaveLength(30)
  })

  it('draws who calls what', () => {
    expect(objects('tools', 'Who calls what (last day of the range)').map((n) => [n.id, n.mainstat])).toEqual(
      [
        ['server:bank', 102],
        ['who:planner', 102],
        ['server:files', 20],
        ['who:ops-bot', 20],
      ],
    )
    expect(
      objects('tools', 'Who calls what (last day of the range)', 'B').map((e) => [
        e.source,
        e.target,
        e.mainstat,
      ]),
    ).toEqual([
      ['who:planner', 'server:bank', 102],
      ['who:ops-bot', 'server:files', 20],
    ])
  })

  it('shows a trace with the spans of others in it, and a run step by step', () => {
    const spans = objects('trace', 'Waterfall')
    expect(spans.map((s) => s.operationName)).toEqual(
      expect.arrayContaining(['SELECT balance', 'tools/call get_balance']),
    )
    expect(spans).toHaveLength(3)
    const server = spans.find((s) => s.spanID === '1'.repeat(16))!
    expect(server).toMatchObject({ traceID: TRACE, duration: 100, statusCode: 2, kind: 'Server' })
    expect(Math.abs((server.startTime as number) - (DAY_START + 12 * 3_600_000))).toBeLessThan(1)
    expect(server.tags).toEqual(expect.arrayContaining([{ key: 'gen_ai.tool.name', value: 'get_balance' }]))
    expect(objects('trace', 'Its calls')).toHaveLength(1)
    expect(objects('trace', 'Calls of run $run_id')).toHaveLength(100)
    expect(objects('trace', 'Runs').find((r) => r.run_id === RUN)).toMatchObject({
      calls: 100,
      failed: 9,
      duration: 990.1,
      tools: 1,
    })
    expect(objects('trace', 'Loops')).toMatchObject([{ calls: 6, tool: 'get_balance', results: 1 }])
  })

  it('adds cost up by day, team, tool and caller', () => {
    for (const title of ['Month to date', 'In the range'])
      expect(value('cost', title), title).toBeCloseTo(0.182, 9)
    expect(value('cost', 'Unpriced calls')).toBe(20)
    expect(total(objects('cost', 'Cost per day by team'), 'value')).toBeCloseTo(0.182, 9)
    expect(objects('cost', 'Teams and projects')[0]).toMatchObject({
      team: 'research',
      project: 'advisory',
      calls: 102,
    })
    expect(objects('cost', 'Tools')[0]!.cost).toBeCloseTo(0.182, 9)
    expect(objects('cost', 'Callers')[0]).toMatchObject({ caller: 'rm-agent', agent: 'planner' })
    expect(objects('cost', 'Unpriced tools')).toMatchObject([
      { server: 'files', tool: 'read', unpriced: 20, calls: 20 },
    ])
    expect(objects('cost', 'Moved most')).toMatchObject([{ team: 'research', cost_before: 0 }])
  })

  it('holds cost against budgets, and splits prices of a month', async () => {
    const now = new Date()
    const isThisMonth = new Date(DAY_START).getUTCMonth() === now.getUTCMonth()
    const [budget] = objects('cost', 'Budgets')
    expect(budget).toMatchObject({ budget_id: 'research', scope: 'team', amount: 0.2 })
    expect(budget!.spent).toBeCloseTo(isThisMonth ? 0.182 : 0, 9)
    const rule = ruleQuestions(ALERT_MOMENT).find((q) => q.name === 'rule WeirBudget')!
    const { rows } = await store.ask(rule.sql)
    expect(rows[0]!.slice(0, 3)).toEqual(['research', 'team', 'research'])
    expect(rows[0]![3]).toBeCloseTo(isThisMonth ? 0.91 : 0, 9)
    expect(objects('cost', 'Where prices come from').map((r) => [r.cost_source, r.calls])).toEqual([
      ['tool', 91],
      ['unpriced', 20],
    ])
    const split = objects('cost', 'Prices of a month, split by use')
    expect(split.map((r) => [r.server, r.team])).toContainEqual(['files', 'ops'])
  })

  it('shows objectives, rules and notifications as they stand', () => {
    expect(objects('tools', 'Service level objectives')).toMatchObject([
      { slo: 'bank', good_share: 0.99, budget_left: 0.5, burn_5m: null },
    ])
    expect(objects('health', 'Alert rules')).toMatchObject([{ rule: 'slow-bank', state: 'ok' }])
    expect(objects('health', 'Notifications')).toMatchObject([
      { receiver: 'slack', status: 'sent', attempts: 1 },
    ])
  })

  it('shows who was refused, who is new and what changed', () => {
    expect(value('security', 'Denied')).toBe(3)
    expect(value('security', 'Not identified')).toBe(1)
    expect(value('security', 'Unreadable')).toBe(1)
    expect(value('security', 'New callers')).toBe(1)
    expect(value('security', 'Changed definitions')).toBe(1)
    expect(objects('security', 'Callers first seen')).toMatchObject([{ caller: 'ops-bot', calls: 20 }])
    expect(objects('security', 'Who is refused')[0]).toMatchObject({
      caller: 'rm-agent',
      denied: 2,
      invalid: 3,
    })
    expect(objects('security', 'Decisions by rule, limit and budget (last day of the range)')).toMatchObject([
      { verdict: 'deny', rule: 'other teams', calls: 2, callers: 1, reason: 'not for this team' },
      { verdict: 'shadow', rule: 'office hours', calls: 1 },
    ])
    expect(objects('security', 'Tool definitions that changed')).toMatchObject([
      { tool: 'get_balance', hash_before: 'a', hash: 'b', tokens_before: 100, tokens: 140 },
    ])
    expect(objects('security', 'Findings')).toMatchObject([
      { kind: 'latency', ended: null },
      { kind: 'volume' },
    ])
    const odd = objects('security', 'At night and on weekends').find((r) => r.tool === 'get_balance')!
    expect(odd).toMatchObject({ odd_calls: isWeekend ? 102 : 2, calls: 102 })
  })

  it('finds calls by text and id', async () => {
    const question = questions.find((q) => q.board === 'security' && q.title.startsWith('Calls with'))!
    const count = async (search: string): Promise<number> =>
      (await store.ask(sentFor(question, { search }))).rows.length
    expect(await count('')).toBe(123)
    expect(await count('OPS-bot')).toBe(20)
    expect(await count(TRACE)).toBe(1)
    expect(await count("it's not there")).toBe(0)
  })

  it('knows what is missing in the record', () => {
    expect(value('health', 'Missing batches')).toBe(1)
    expect(value('health', 'Dead letters')).toBe(1)
    expect(value('health', 'Unfinished calls')).toBe(1)
    expect(objects('health', 'Workers')).toMatchObject([
      { worker: 'w0', batches: 3, missing: 1, lost_events: 7 },
    ])
    expect(objects('health', 'Tables').find((r) => r.table === 'calls')).toMatchObject({ rows: 174 })
  })

  it('knows which tools are used, and which are only listed', () => {
    expect(value('usage', 'Tools in use')).toBe(2)
    expect(value('usage', 'Tools listed and never called')).toBe(1)
    expect(value('usage', 'Callers')).toBe(2)
    expect(value('usage', 'Calls that do not fit')).toBeCloseTo(3 / 123, 9)
    expect(objects('usage', 'By team')).toMatchObject([
      { team: 'ops', server: 'files', sessions: 1, tokens: 125 },
    ])
    expect(objects('usage', 'Listed and never called')).toMatchObject([
      { server: 'files', tool: 'shred', tokens: 75 },
    ])
    expect(objects('usage', 'Tools')[1]).toMatchObject({
      tool: 'read',
      calls: 20,
      teams: 1,
      tokens_per_result: 500,
    })
  })

  it('marks what happened on the time axis', () => {
    expect(objects('overview', 'Deploys')).toMatchObject([{ title: 'bank 2.0', tags: 'deploy,bank' }])
    expect(objects('overview', 'Config')).toMatchObject([{ title: 'config taken over' }])
    expect(objects('overview', 'Tool definitions')).toMatchObject([{ title: 'bank get_balance changed' }])
    expect(objects('overview', 'Anomalies')).toHaveLength(2)
    expect(objects('overview', 'Alerts').map((r) => r.title)).toEqual(['quiet-files', 'slow-bank'])
  })

  it('offers what was used as choices, narrowed by what is chosen', async () => {
    const offered = (name: string): unknown[] => answerTo('security', name).rows.map((row) => row[0])
    expect(offered('env')).toEqual(['test'])
    expect(offered('team')).toEqual(['ops', 'research'])
    expect(offered('project')).toEqual(['advisory'])
    expect(offered('server')).toEqual(['bank', 'files'])
    expect(offered('tool')).toEqual(['get_balance', 'read'])
    expect(offered('caller')).toEqual(['ops-bot', 'rm-agent'])
    expect(offered('agent')).toEqual(['planner'])
    const tool = questions.find((q) => q.board === 'tools' && q.title === 'tool')!
    expect((await store.ask(sentFor(tool, { server: ['files'] }))).rows).toEqual([['read']])
  })

  it('answers choices: one server, one team', async () => {
    const ask = async (board: string, title: string, chosen: Record<string, Choice>): Promise<unknown> =>
      (await store.ask(sentFor(questions.find((q) => q.board === board && q.title === title)!, chosen)))
        .rows[0]![0]
    expect(await ask('overview', 'Calls', { server: ['files'] })).toBe(20)
    expect(await ask('overview', 'Calls', { server: ['files', 'bank'] })).toBe(122)
    expect(await ask('overview', 'Calls', { env: ['elsewhere'] })).toBe(0)
    expect(await ask('cost', 'In the range', { team: ['ops'] })).toBe(0)
    expect(await ask('usage', 'Callers', { team: ['ops'] })).toBe(1)
  })

  it('reads no raw calls beyond the last day of a long range', async () => {
    const raw = questions.filter(
      (q) =>
        /\bv_calls\b|\bv_failures\b/.test(q.sql) && !/trace_id:singlequote|run_id:singlequote/.test(q.sql),
    )
    expect(raw.length).toBeGreaterThan(10)
    for (const question of raw)
      expect(question.sql, nameOf(question)).toContain('ts >= $__toTime - INTERVAL 1 DAY')
    for (const question of questions) expect(question.sql, nameOf(question)).not.toMatch(/\bFROM calls\b/)
  })
})

describe("Grafana's alert rules", () => {
  it.each<[string, unknown[][]]>([
    ['WeirToolFaults', [['bank', 'get_balance', 0.04]]],
    ['WeirLostEvents', [['test', 'spool_full', 7]]],
    ['WeirBatchesMissing', [['test', 1]]],
    ['WeirDeadLetters', [['not_json', 1]]],
    ['WeirRefusals', [['bank', 'get_balance', 2]]],
    ['WeirToolDefinitionChanged', [['bank', 'get_balance', 1]]],
  ])('%s: one row a thing, the number last', async (title, expected) => {
    const rule = ruleQuestions(ALERT_MOMENT).find((q) => q.name === `rule ${title}`)!
    expect((await store.ask(rule.sql)).rows).toEqual(expected)
  })

  it('know slow tools and slow Weir', async () => {
    const rows = async (title: string): Promise<unknown[][]> =>
      (await store.ask(ruleQuestions(ALERT_MOMENT).find((q) => q.name === `rule ${title}`)!.sql)).rows
    const [slow] = await rows('WeirToolSlow')
    expect(slow!.slice(0, 2)).toEqual(['bank', 'get_balance'])
    expect(Math.abs((slow![2] as number) - 0.1)).toBeLessThan(0.0045)
    expect(Math.abs(((await rows('WeirOverhead'))[0]![0] as number) - 0.0008)).toBeLessThan(0.00004)
  })

  it('say nothing where nothing happens, and ask nothing the store refuses', async () => {
    for (const { name, sql } of ruleQuestions(new Date(DAY_START - 20 * 86_400_000))) {
      const { rows } = await store.ask(sql)
      // A gap and a running period are of now, whenever the rule is asked.
      if (/WeirBatchesMissing|WeirBudget/.test(name)) continue
      expect(
        rows.flat().filter((v) => v !== 0),
        name,
      ).toEqual([])
    }
  })
})

describe('the boards', () => {
  it('are built from the sources as they are', () => {
    for (const [name, text] of Object.entries(files()))
      expect(readFileSync(join(BUILT, '..', name), 'utf8') === text, `${name}: run npm run dashboards`).toBe(
        true,
      )
    expect(
      Object.keys(files())
        .filter((name) => name.endsWith('.json'))
        .sort(),
    ).toEqual(Object.keys(boards).map((name) => `built/${name}.json`))
  })

  const everyPanel = Object.entries(boards).flatMap(([board, json]) =>
    json.panels.filter((panel) => panel.type !== 'row').map((panel) => ({ board, panel })),
  )

  it('say of every panel what it means, in which unit, and what nothing means', () => {
    for (const { board, panel } of everyPanel) {
      const name = `${board} › ${panel.title}`
      expect(panel.title.length, name).toBeGreaterThan(1)
      expect(panel.description?.length ?? 0, name).toBeGreaterThan(15)
      if (panel.type === 'text') continue
      expect(panel.datasource?.uid, name).toBe('${ds}')
      expect(panel.fieldConfig?.defaults.noValue, name).toBeTruthy()
      if (['stat', 'timeseries', 'heatmap'].includes(panel.type))
        expect(panel.fieldConfig?.defaults.unit, name).toBeTruthy()
      for (const target of panel.targets ?? []) expect(target.datasource.uid, name).toBe('${ds}')
    }
  })

  it('have no two panels of one place, name or number', () => {
    for (const [board, json] of Object.entries(boards)) {
      const taken = new Set<string>()
      for (const { gridPos, title } of json.panels) {
        expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(taken.has(`${x},${y}`), `${board} › ${title} covers another panel`).toBe(false)
            taken.add(`${x},${y}`)
          }
      }
      expect(new Set(json.panels.map((p) => p.id)).size).toBe(json.panels.length)
      expect(new Set(json.panels.map((p) => p.title)).size, board).toBe(json.panels.length)
    }
    expect(new Set(Object.values(boards).map((b) => b.uid)).size).toBe(Object.keys(boards).length)
  })

  it('link only to boards and variables that exist, with columns that the query has', () => {
    const byUid = new Map(Object.values(boards).map((b) => [b.uid, b]))
    for (const { board, panel } of everyPanel) {
      const links = JSON.stringify([panel.fieldConfig, (panel as { options?: unknown }).options])
      for (const [, uid, rest] of links.matchAll(/\/d\/([\w-]+)([^"]*)/g)) {
        const target = byUid.get(uid!)
        expect(target, `${board} › ${panel.title} links to ${uid}`).toBeDefined()
        const known = new Set(target!.templating.list.map((v) => v.name))
        for (const [, name] of rest!.matchAll(/var-(\w+)=/g))
          expect(known.has(name!), `${board} › ${panel.title}: ${uid} has no ${name}`).toBe(true)
      }
      const columns = (panel.targets ?? []).flatMap((t) => {
        const answer = seeded.get(`${board} › panel › ${panel.title} ${t.refId}`)
        return answer instanceof Error || !answer ? [] : answer.columns
      })
      for (const [, column] of links.matchAll(/__(?:data\.fields|field\.labels)\.(\w+)/g))
        expect(columns, `${board} › ${panel.title} links by ${column}`).toContain(column)
      for (const override of panel.fieldConfig?.overrides ?? [])
        if (panel.type === 'table' && !/^link_/.test(override.matcher.options))
          expect(columns, `${board} › ${panel.title} styles a column`).toContain(override.matcher.options)
    }
  })

  it('offer only variables that some panel asks for', () => {
    for (const [board, json] of Object.entries(boards)) {
      const asked = JSON.stringify(json.panels)
      for (const { name } of json.templating.list.filter((v) => v.name !== 'ds'))
        expect(new RegExp(`\\$\\{?${name}\\b`).test(asked), `${board}: nothing asks for ${name}`).toBe(true)
    }
  })
})
