/** What the running parts say of themselves: store, collector, proxy and the servers behind it. */
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { run as readFreshness } from '../collector/queries/freshness.ts'
import { run as readHealth } from '../collector/queries/store-health.ts'
import { runningAt } from '../supervisor/running.ts'
import { type Check, ok, problem, warning } from './doctor-machine.ts'
import type { Installation } from './installation.ts'
import { openStore } from './store-client.ts'
import { byteSize, clean, count, duration } from './terminal.ts'
import { CliError } from './verb.ts'

const ASK_MS = 6_000
const SKEW_PROBLEM_MS = 60_000
const SKEW_WARNING_MS = 2_000
const PARTS_WARNING = 150
const PARTS_PROBLEM = 1_000

type Answer = { status: number; body: Record<string, unknown> }

async function ask(url: string): Promise<Answer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(ASK_MS) })
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>
  return { status: response.status, body }
}

/** Over TLS its certificate may be for other names than ours, and ask for one of clients: then by the socket of this user. */
async function askProxy(url: string): Promise<Answer> {
  const running = url.startsWith('https:') ? await runningAt(new URL(url)) : null
  if (!running) return ask(`${url}/readyz`)
  return new Promise((resolve, reject) => {
    const { socket: socketPath } = running
    const asking = request(
      { socketPath, path: '/readyz', headers: { host: 'localhost' }, timeout: ASK_MS },
      (answer) => {
        text(answer).then(
          (body) =>
            resolve({ status: answer.statusCode ?? 0, body: JSON.parse(body) as Record<string, unknown> }),
          reject,
        )
      },
    )
    asking.on('timeout', () => asking.destroy(new Error(`no answer within ${ASK_MS / 1000} s`)))
    asking.on('error', reject)
    asking.end()
  })
}

const reasonOf = (error: unknown): string => {
  const { cause, message, name } = error as { cause?: { code?: string }; message: string; name: string }
  return cause?.code ?? (name === 'TimeoutError' ? `no answer within ${ASK_MS / 1000} s` : message)
}

type Part = { ok?: boolean; detail?: string }
const isPart = (value: unknown): value is Part => typeof value === 'object' && value !== null && 'ok' in value

export async function store(installation: Installation): Promise<Check[]> {
  const client = openStore(installation, ASK_MS)
  const { url } = installation.store
  try {
    const before_ms = Date.now()
    const health = await readHealth(client)
    const after_ms = Date.now()
    const checks: Check[] = [ok('engine', `ClickHouse ${clean(health.version)} at ${url}`)]
    // Half the journey either way is all that can be known.
    const skew_ms =
      health.now_ms < before_ms
        ? health.now_ms - before_ms
        : health.now_ms > after_ms
          ? health.now_ms - after_ms
          : 0
    const skew = `${duration(Math.abs(skew_ms) * 1000)} ${skew_ms < 0 ? 'behind' : 'ahead of'} this machine`
    if (Math.abs(skew_ms) < SKEW_WARNING_MS)
      checks.push(ok('clock', skew_ms === 0 ? 'the store agrees with this machine' : `the store is ${skew}`))
    else
      checks.push(
        (Math.abs(skew_ms) >= SKEW_PROBLEM_MS ? problem : warning)(
          'clock',
          `the store is ${skew}: windows like "the last 5 minutes" are shifted`,
          'run an NTP service on both machines',
        ),
      )
    const stored =
      health.stored_age_s === null
        ? 'nothing stored in the last day'
        : `last stored ${duration(Math.max(0, health.stored_age_s) * 1e6)} ago`
    const size = `${count(health.rows)} events, ${count(health.parts)} parts, ${byteSize(health.bytes)}, ${count(health.merges)} merges running, ${stored}`
    const fix =
      'inserts outrun merges: give the store more CPU, or raise spool.segment_age_ms for fewer, larger batches'
    const most = health.parts_of_partition_max
    if (most >= PARTS_WARNING)
      checks.push(
        (most >= PARTS_PROBLEM ? problem : warning)(
          'store',
          `${size}; ${count(most)} parts in one partition`,
          fix,
        ),
      )
    else checks.push(ok('store', size))
    return [...checks, ...(await completeness(client))]
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return [problem('store', error.message, error.fix || 'look at its log')]
  } finally {
    await client.close()
  }
}

/** Whether what was recorded has come: losses, gaps, lines that could not be read. */
async function completeness(client: ReturnType<typeof openStore>): Promise<Check[]> {
  const fresh = await readFreshness(client)
  return [
    fresh.dead_letters_1d > 0
      ? problem(
          'dead letters',
          `${count(fresh.dead_letters_1d)} lines of the last day could not become rows`,
          'weir query "SELECT received_at, reason, error, body FROM v_dead_letters ORDER BY received_at DESC LIMIT 20"',
        )
      : ok('dead letters', 'none in the last day'),
    fresh.missing_batches > 0
      ? warning(
          'ingest gaps',
          `${count(fresh.missing_batches)} batches have not come: on their way, dropped by a full spool, or stuck`,
          'weir query "SELECT * FROM v_ingest_gaps WHERE missing > 0"; look at the spool folders of those instances',
        )
      : ok('ingest gaps', 'every batch has come'),
    fresh.lost_events > 0
      ? warning(
          'lost events',
          `${count(fresh.lost_events)} events were given up before they reached the store`,
          'weir query "SELECT * FROM v_losses"; raise spool.max_bytes or free disk space',
        )
      : ok('lost events', 'none'),
  ]
}

export async function collector(url: string): Promise<Check> {
  try {
    const { status, body } = await ask(`${url}/readyz`)
    if (status === 200) return ok('collector', `ready at ${url}`)
    const parts = Object.entries((body.parts ?? {}) as Record<string, Part>).filter(
      ([, p]) => p?.ok === false,
    )
    return problem(
      'collector',
      `not ready: ${clean(parts.map(([name, p]) => `${name}: ${p.detail}`).join('; ')) || `HTTP ${status}`}`,
      'events wait in the spool meanwhile; see the check of the store',
    )
  } catch (error) {
    return problem(
      'collector',
      `${url} does not answer (${clean(reasonOf(error))})`,
      'look at the log of Weir; events wait in the spool meanwhile',
    )
  }
}

export async function proxy(url: string): Promise<Check[]> {
  let answer: Answer
  try {
    answer = await askProxy(url)
  } catch (error) {
    return [problem('proxy', `${url} does not answer (${clean(reasonOf(error))})`, 'look at the log of Weir')]
  }
  const { servers, status, draining, ...parts } = answer.body
  const fix = 'look at the log of Weir'
  const own = Object.entries(parts).filter(([, part]) => isPart(part) && part.ok === false)
  const trouble = own.map(([name, part]) => `${name}: ${(part as Part).detail}`).join('; ')
  const checks: Check[] = []
  if (answer.status !== 200)
    checks.push(
      problem(
        'proxy',
        `${clean(String(status ?? `HTTP ${answer.status}`))}${trouble ? `: ${clean(trouble)}` : ''}`,
        fix,
      ),
    )
  else if (trouble) checks.push(problem('proxy', clean(trouble), fix))
  else checks.push(ok('proxy', `serves at ${url}${draining ? ', draining' : ''}`))
  for (const [name, part] of Object.entries((servers ?? {}) as Record<string, Part>)) {
    const detail = clean(`${name}: ${part.detail ?? ''}`)
    checks.push(
      part.ok
        ? ok('server', detail)
        : problem('server', detail, '`weir check --servers` contacts it and tells what it says'),
    )
  }
  return checks
}
