import { randomBytes } from 'node:crypto'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  connect,
  jsonLines,
  onTerminal,
  PROGRAM,
  rows,
  run,
  start,
  startWeir,
  until,
  type Weir,
} from './support/weir.ts'

const trace_id = randomBytes(16).toString('hex')
const agent_span = randomBytes(8).toString('hex')
const server_span = randomBytes(8).toString('hex')
const EVIL = 'evil\u001b[31m\u001b]0;owned\u0007\u009b2Jtool\u202e'
const ESCAPE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/

type Tailed = {
  event_id: string
  trace_id: string
  tool: string
  outcome: string
  method: string
  session_id: string
}

let weir: Weir
let client: Client

async function postSpans(): Promise<void> {
  const nano = (ms: number): string => `${BigInt(ms) * 1_000_000n}`
  const now = Date.now()
  const span = (name: string, spanId: string, parentSpanId: string, from: number, to: number) => ({
    traceId: trace_id,
    spanId,
    parentSpanId,
    name,
    kind: 1,
    startTimeUnixNano: nano(from),
    endTimeUnixNano: nano(to),
    status: { code: 2, message: 'gave\u001b[2J up' },
  })
  const spans = [
    span('agent loop', agent_span, '', now - 60, now + 500),
    span('inside the server', server_span, agent_span, now, now + 20),
  ]
  const body = {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'my-agent' } }] },
        scopeSpans: [{ scope: { name: 'test' }, spans }],
      },
    ],
  }
  const answer = await fetch(`${weir.note.console}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(200)
}

const stored = async (where: string): Promise<number> =>
  Number((await rows<{ n: number }>(weir, `SELECT count() AS n FROM calls WHERE ${where}`))[0]!.n)

beforeAll(async () => {
  weir = await startWeir()
  client = await connect(`${weir.note.listen}/servers/everything/mcp`)
  await client.listTools()
  const _meta = { traceparent: `00-${trace_id}-${agent_span}-01` }
  for (const message of ['one', 'two', 'three'])
    await client.callTool({ name: 'echo', arguments: { message }, _meta })
  await client.callTool({ name: 'echo', arguments: { message: 7 }, _meta })
  await client.callTool({ name: EVIL, arguments: {}, _meta })
  await postSpans()
  await until(async () => (await stored(`trace_id = '${trace_id}'`)) === 5, 'the calls are stored')
})
afterAll(async () => {
  await client?.close()
  await weir?.stop()
})

describe('tail', () => {
  it('shows the last calls as a plain table in a pipe', async () => {
    const { code, out, err } = await run(
      weir.folder,
      'tail',
      '-n',
      '4',
      '--no-follow',
      '--method',
      'tools/call',
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const lines = out.trimEnd().split('\n')
    expect(lines[0]).toMatch(
      /^time\s+caller\s+server\s+call\s+outcome\s+duration\s+weir\s+bytes\s+tokens\s+trace$/,
    )
    expect(out).toContain(trace_id.slice(0, 8))
    expect(out).toMatch(/echo\s+tool_error/)
    expect(out).toContain('[upstream] MCP error -32602: Input validation error')
    expect(out).toContain('eviltool')
    expect(out).not.toMatch(ESCAPE)
  })

  it('filters by tool, outcome and server, and says which outcomes there are', async () => {
    const failed = await run(weir.folder, 'tail', '--no-follow', '--outcome', 'failed', '--json')
    expect(jsonLines<Tailed>(failed.out).map((row) => row.outcome)).toEqual(['tool_error', 'tool_error'])
    const echo = await run(
      weir.folder,
      'tail',
      '--no-follow',
      '--tool',
      'echo',
      '--server',
      'everything',
      '--outcome',
      'ok',
      '--json',
    )
    expect(jsonLines<Tailed>(echo.out)).toHaveLength(3)
    const none = await run(weir.folder, 'tail', '--no-follow', '--server', 'nowhere')
    expect(none).toMatchObject({ code: 0, out: '' })
    const wrong = await run(weir.folder, 'tail', '--no-follow', '--outcome', 'bad')
    expect(wrong.code).toBe(2)
    expect(wrong.err).toContain('tool_error, rpc_error')
  })

  it('keeps notifications out unless they are asked for', async () => {
    const calls = jsonLines<Tailed>((await run(weir.folder, 'tail', '-n', '50', '--no-follow', '--json')).out)
    expect(calls.some((row) => row.method.startsWith('notifications/'))).toBe(false)
    const all = jsonLines<Tailed>(
      (await run(weir.folder, 'tail', '-n', '50', '--no-follow', '--all', '--json')).out,
    )
    expect(all.some((row) => row.method === 'notifications/initialized')).toBe(true)
  })

  it('writes JSON that is safe to show and reads back as it was', async () => {
    const { out } = await run(
      weir.folder,
      'tail',
      '-n',
      '1',
      '--no-follow',
      '--json',
      '--method',
      'tools/call',
    )
    expect(out.trimEnd()).not.toMatch(ESCAPE)
    expect(jsonLines<Tailed>(out)[0]!.tool).toBe(EVIL)
  })

  it('delivers every call exactly once while it follows two workers', async () => {
    const tail = start(weir.folder, ['tail', '-n', '1', '--json', '--tool', 'echo'])
    await until(() => tail.out().includes('\n'), 'tail has begun')
    const others = await Promise.all(
      [1, 2, 3, 4].map(() => connect(`${weir.note.listen}/servers/everything/mcp`)),
    )
    await Promise.all(
      others.map(async (other, i) => {
        for (let n = 0; n < 50; n++)
          await other.callTool({ name: 'echo', arguments: { message: `${i}/${n}` } })
      }),
    )
    const wanted = await until(async () => {
      if ((await stored("tool = 'echo'")) !== 204) return false
      return rows<{ event_id: string; worker: string }>(
        weir,
        "SELECT event_id, worker FROM calls WHERE tool = 'echo' ORDER BY ts DESC LIMIT 200",
      )
    }, '200 calls are stored')
    expect(new Set(wanted.map((row) => row.worker)).size).toBe(2)
    await client.callTool({ name: 'echo', arguments: { message: 'the last' } })
    await until(() => tail.out().trimEnd().split('\n').length >= 202, 'tail shows them all')
    tail.child.kill('SIGINT')
    const { code, out } = await tail.done
    expect(code).toBe(0)
    const ids = jsonLines<Tailed>(out).map((row) => row.event_id)
    expect(ids).toHaveLength(202)
    expect(new Set(ids).size).toBe(202)
    expect(wanted.every((row) => ids.includes(row.event_id))).toBe(true)
    await Promise.all(others.map((other) => other.close()))
  })

  it('ends quietly when the reader has seen enough', async () => {
    const { code, out, err } = await start(weir.folder, [], {
      program: [
        'bash',
        '-c',
        `set -o pipefail; "${process.execPath}" "${PROGRAM}" query 'SELECT number FROM numbers(3000000)' | head -n 2`,
      ],
    }).done
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toBe('number\n0\n')
  })

  it('obeys NO_COLOR on a terminal, and colours without it', async () => {
    const plain = await onTerminal(weir.folder, 'tail -n 3 --no-follow', { NO_COLOR: '1' }).done
    expect(plain.out.replaceAll('\r\n', '\n')).not.toMatch(ESCAPE)
    const coloured = await onTerminal(weir.folder, 'tail -n 3 --no-follow').done
    expect(coloured.out).toContain('\u001b[')
    expect(coloured.out).not.toContain('\u001b]0;')
  })
})

describe('top', () => {
  it('prints one table in a pipe', async () => {
    const { code, out } = await run(weir.folder, 'top', '--window', '1h')
    expect(code).toBe(0)
    expect(out).toMatch(/^last 1h: [\d,]+ calls/)
    expect(out).toContain('nothing lost')
    expect(out).toMatch(
      /server\s+tool\s+calls\s+calls\/s\s+errors\s+p50\s+p95\s+p99\s+weir p50\s+bytes\s+tokens/,
    )
    expect(out).toMatch(/everything\s+echo\s+\d+/)
    expect(out).not.toMatch(ESCAPE)
  })

  it.each(['server', 'caller', 'team', 'tool'])(
    'groups by %s, and the rows add up to the totals',
    async (by) => {
      const { out } = await run(weir.folder, 'top', '--by', by, '--window', '2h', '--json')
      const { totals, rows: groups } = JSON.parse(out) as {
        totals: { calls: number; failed: number }
        rows: { name: string; calls: number; failed: number; p50_us: number; p99_us: number }[]
      }
      expect(groups.reduce((sum, row) => sum + row.calls, 0)).toBe(totals.calls)
      expect(groups.reduce((sum, row) => sum + row.failed, 0)).toBe(totals.failed)
      expect(groups.every((row) => row.p50_us <= row.p99_us)).toBe(true)
    },
  )

  it.each([
    ['5x', 'not a duration'],
    ['', 'not a duration'],
    ['0s', 'not a duration'],
    ['3d', 'longer than 24h'],
  ])('refuses the window "%s"', async (window, why) => {
    const { code, err } = await run(weir.folder, 'top', `--window=${window}`)
    expect(code).toBe(2)
    expect(err).toContain(why)
  })

  it('takes the screen of a terminal and gives it back', async () => {
    const top = onTerminal(weir.folder, 'top --window 1h')
    await until(() => top.out().split('\u001b[H').length > 2, 'top has drawn twice')
    top.child.stdin!.write('q')
    const { code, out } = await top.done
    expect(code).toBe(0)
    expect(out).toContain('\u001b[?1049h')
    expect(out.trimEnd().endsWith('\u001b[?25h\u001b[?1049l')).toBe(true)
    expect(out).toContain('eviltool')
  })
})

describe('trace', () => {
  it('draws Weir, upstream and foreign spans in one tree', async () => {
    const { code, out } = await run(weir.folder, 'trace', trace_id)
    expect(code).toBe(0)
    expect(out).not.toMatch(ESCAPE)
    const lines = out.split('\n')
    expect(lines[0]).toBe(`trace ${trace_id}`)
    expect(lines[1]).toContain('12 spans (2 of others)')
    expect(lines[1]).toContain('2 failed')
    expect(out).toMatch(/^agent loop \[my-agent\]/m)
    expect(out).toMatch(/[├└]─ tools\/call echo \[weir everything\]\s+█|▏/)
    expect(out).toMatch(/[├└]─ \[→ everything\]/)
    expect(out).toMatch(/inside the server \[my-agent\]/)
    expect(out).toMatch(/receive .*authorise .*queue .*connect .*wait .*transfer .*answer/)
    expect(out.match(/▸/g)?.length).toBe(5)
    expect(out).toContain('✗ tool_error, owner upstream: MCP error -32602')
    expect(out).toContain('✗ error: gave up')
  })

  it('finds it by event, by the start of either, and says when there is none', async () => {
    const [call] = await rows<{ event_id: string }>(
      weir,
      `SELECT event_id FROM calls WHERE trace_id = '${trace_id}' LIMIT 1`,
    )
    for (const id of [
      call!.event_id,
      call!.event_id.slice(0, 34),
      call!.event_id.replaceAll('-', ''),
      trace_id.slice(0, 12).toUpperCase(),
    ]) {
      const { out } = await run(weir.folder, 'trace', id, '--json')
      expect((JSON.parse(out) as { trace_id: string }).trace_id).toBe(trace_id)
    }
    const unknown = await run(weir.folder, 'trace', 'ffffffff0123')
    expect(unknown).toMatchObject({ code: 1, out: '' })
    expect(unknown.err).toContain('there is no trace, event, session or run "ffffffff0123"')
    const short = await run(weir.folder, 'trace', 'abc')
    expect(short.code).toBe(2)
    expect(short.err).toContain('at least 6')
  })

  it('finds the traces of a session, and lists them when there are several', async () => {
    const [call] = await rows<{ session_id: string }>(
      weir,
      `SELECT session_id FROM calls WHERE trace_id = '${trace_id}' LIMIT 1`,
    )
    const { code, err } = await run(weir.folder, 'trace', call!.session_id.slice(0, 31))
    expect(code).toBe(1)
    expect(err).toContain('stands for several traces')
    expect(err).toContain(trace_id)
    expect(err).toContain('cli-test')
  })

  it('cuts a long trace and says how to see the rest', async () => {
    const { out } = await run(weir.folder, 'trace', trace_id, '--limit', '3')
    expect(out).toContain(`… 9 more spans: weir trace ${trace_id} --limit 0 draws them all`)
  })

  it('gives every span with its call as JSON', async () => {
    const { spans } = JSON.parse((await run(weir.folder, 'trace', trace_id, '--json')).out) as {
      spans: { kind: string; is_weir: boolean; phases: object | null; call: { outcome: string } | null }[]
    }
    expect(spans).toHaveLength(12)
    const servers = spans.filter((span) => span.is_weir && span.kind === 'Server')
    expect(servers.map((span) => span.call?.outcome)).toEqual(['ok', 'ok', 'ok', 'tool_error', 'tool_error'])
    expect(Object.keys(servers[0]!.phases!)).toHaveLength(7)
  })
})

describe('query', () => {
  it('speaks TSV in a pipe, JSON when asked, and any other format', async () => {
    expect((await run(weir.folder, 'query', 'SELECT 1 AS a, 2 AS b')).out).toBe('a\tb\n1\t2\n')
    expect((await run(weir.folder, 'query', 'SELECT {n:UInt32} AS a', '--json', '--param', 'n=5')).out).toBe(
      '{"a":5}\n',
    )
    expect((await run(weir.folder, 'query', 'SELECT 1 AS a', '--format', 'CSVWithNames')).out).toBe(
      '"a"\n1\n',
    )
    expect((await run(weir.folder, 'query', 'SELECT 1 AS a FORMAT JSONCompactEachRow')).out).toBe('[1]\n')
    expect((await start(weir.folder, ['query', '-'], { input: 'SELECT 3 AS x' }).done).out).toBe('x\n3\n')
  })

  it('passes on the sentence of the engine', async () => {
    const syntax = await run(weir.folder, 'query', 'SELEC 1')
    expect(syntax).toMatchObject({ code: 1, out: '' })
    expect(syntax.err).toMatch(/Syntax error.*SELEC.*\(code 62, SYNTAX_ERROR\)/)
    const column = await run(weir.folder, 'query', 'SELECT nothing FROM calls')
    expect(column.err).toContain('(code 47, UNKNOWN_IDENTIFIER)')
    const writing = await run(weir.folder, 'query', 'DROP TABLE calls')
    expect(writing.code).toBe(1)
    expect(writing.err).toContain('READONLY')
    const late = await run(
      weir.folder,
      'query',
      "SELECT throwIf(number = 2500000, 'boom') FROM numbers(3000000)",
    )
    expect(late.code).toBe(1)
    expect(late.err).toContain('boom')
    expect(late.out).not.toContain('__exception__')
  })

  it('lets no escape sequence reach a terminal, and no binary format', async () => {
    const shown = await onTerminal(
      weir.folder,
      `query "SELECT tool FROM calls WHERE trace_id = '${trace_id}'"`,
    ).done
    expect(shown.code).toBe(0)
    expect(shown.out).toContain('evil')
    expect(shown.out.replaceAll('\r\n', '\n')).not.toMatch(ESCAPE)
    const binary = await onTerminal(weir.folder, 'query "SELECT 1" --format Native').done
    expect(binary.code).toBe(1)
    expect(binary.out).toContain('binary format')
  })

  it('asks another store with --url, and says when nobody answers or the words are wrong', async () => {
    expect((await run('/', 'query', 'SELECT 1 AS a', '--url', weir.note.store)).out).toBe('a\n1\n')
    const nobody = await run('/', 'tail', '--url', 'http://127.0.0.1:1')
    expect(nobody.code).toBe(1)
    expect(nobody.err).toContain('the store at http://127.0.0.1:1 does not answer (ECONNREFUSED)')
    const wrong = await run(
      '/',
      'query',
      'SELECT 1',
      '--url',
      weir.note.store,
      '--user',
      'x',
      '--password',
      'y',
    )
    expect(wrong.code).toBe(1)
    expect(wrong.err).toContain('does not know these credentials')
    expect((await run('/', 'tail', '--url', 'nonsense')).code).toBe(2)
    expect((await run('/', 'tail')).err).toContain('there is no weir.yaml in /')
  })
})
