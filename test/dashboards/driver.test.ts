/**
 * The same questions through the driver of Grafana's plugin, opened as the plugin opens it. What the driver reads must be what
 * the store said over HTTP. Skipped with a line that says why where Go or the driver cannot be had.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { ruleQuestions } from './alert-files.ts'
import { ALERT_MOMENT, type KnownStore, RANGE, RUN, startKnownStore, TRACE } from './known.ts'
import { asSent } from './plugin.ts'
import { opening, questions } from './questions.ts'

const run = promisify(execFile)
const hasGo = ((): boolean => {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
const workshop = mkdtempSync(join(tmpdir(), 'weir-driver-'))
let store: KnownStore | undefined

afterAll(async () => {
  await store?.end()
  rmSync(workshop, { recursive: true, force: true })
}, 60_000)

type Through = { name: string; columns: string[]; rows: number; first: string[]; error: string }

/** Builds the program; answers why it cannot be built when the driver is not to be had. */
async function build(): Promise<string | null> {
  copyFileSync(join(import.meta.dirname, 'go', 'main.go'), join(workshop, 'main.go'))
  const env = { ...process.env, GOFLAGS: '-mod=mod', GOMAXPROCS: '1' }
  await run('go', ['mod', 'init', 'client'], { cwd: workshop, env })
  try {
    await run('go', ['get', 'github.com/ClickHouse/clickhouse-go/v2@v2.47.0'], { cwd: workshop, env })
  } catch (error) {
    return String(error).slice(0, 200)
  }
  await run('go', ['build', '-o', 'client', '.'], { cwd: workshop, env })
  return null
}

const through = (address: string, asked: readonly { name: string; sql: string }[]): Promise<Through[]> =>
  new Promise((resolve, reject) => {
    const child = spawn(join(workshop, 'client'), [new URL(address).host, 'reader', ''])
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString()
    })
    child.once('exit', (code) => {
      if (code === 0) resolve(JSON.parse(out) as Through[])
      else reject(new Error(err))
    })
    child.stdin.end(JSON.stringify(asked))
  })

describe.skipIf(!hasGo)("Grafana's driver", () => {
  it('reads every answer, of an empty store and of a day of calls', async ({ skip }) => {
    const why = await build()
    if (why !== null) skip(`no clickhouse-go to be had: ${why}`)
    store = await startKnownStore()
    const asked = [
      ...questions.map((q) => ({
        name: `${q.board} ${q.kind} ${q.title} ${q.refId}`,
        sql: asSent(q.sql, {
          ...RANGE,
          interval_ms: Math.max(q.step_ms, 300_000),
          variables: { ...opening(q.board), trace_id: TRACE, run_id: RUN },
        }),
      })),
      ...ruleQuestions(ALERT_MOMENT),
    ]
    const nothing = await through(store.url, asked)
    expect(nothing.filter((a) => a.error !== '').map((a) => `${a.name}: ${a.error}`)).toEqual([])
    await store.seed()
    const answers = await through(store.url, asked)
    expect(answers.filter((a) => a.error !== '').map((a) => `${a.name}: ${a.error}`)).toEqual([])
    expect(answers).toHaveLength(asked.length)
    for (const [i, answer] of answers.entries()) {
      const direct = await store.ask(asked[i]!.sql)
      // Of no rows the store sends no block, so the driver knows no columns.
      const columns = direct.rows.length === 0 ? null : direct.columns
      expect([answer.columns, answer.rows], answer.name).toEqual([columns, direct.rows.length])
    }
    const first = (name: string): string[] => answers.find((a) => a.name === name)!.first
    expect(first('overview panel Calls A')).toEqual(['123'])
    expect(first('cost panel Unpriced calls A')).toEqual(['20'])
    expect(first('security variable server server')).toEqual(['bank'])
  }, 300_000)
})
