/** `weir doctor`: looks at everything that can be wrong, and says what to do about it. */
import { loadConfig } from '../config/load.ts'
import {
  type Check,
  descriptors,
  disk,
  ok,
  permissions,
  ports,
  problem,
  spool,
  versions,
  warning,
} from './doctor-machine.ts'
import { collector, proxy, store } from './doctor-running.ts'
import { certificates } from './doctor-tls.ts'
import { findInstallation, type Installation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { clean, endWithReader, jsonLine, print, type Screen, screen } from './terminal.ts'
import { readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir doctor [--config weir.yaml] [--json]

Checks ports, versions, clocks, disk, store, spool, collector, servers and permissions, whether Weir runs or not.
Exit code 1 when there is a problem; warnings do not count.

  --json              one JSON object
${STORE_USAGE}`

async function running(installation: Installation): Promise<Check[]> {
  const { config, note, unset } = installation
  if (!config)
    return [
      warning(
        'config',
        'there is no weir.yaml here: only the store is checked',
        'name the config with --config',
      ),
      ...(await store(installation)),
    ]
  const isFleetProxy = config.collector.url !== undefined
  const isExternal = config.store.url !== undefined
  const checks: Check[] = []
  if (unset.length > 0)
    checks.push(
      warning(
        'variables',
        `not set in this shell: ${unset.join(', ')}`,
        'set them as Weir has them, or checks that need them may fail',
      ),
    )
  if (!note)
    checks.push(
      warning(
        'running',
        `Weir is not running on ${config.data}; what runs with it was not checked`,
        `weir up --config ${installation.file}`,
      ),
    )
  else checks.push(ok('running', `process ${note.pid} on ${config.data}`))
  if (note?.store || isExternal || installation.store.url !== `http://${config.store.listen}`)
    checks.push(...(await store(installation)))
  if (note?.console) checks.push(await collector(installation.collector))
  else if (isFleetProxy) checks.push(await collector(config.collector.url!.replace(/\/$/, '')))
  if (note?.listen) checks.push(...(await proxy(installation.proxy)))
  return checks
}

async function examine(installation: Installation): Promise<Check[]> {
  const { config, note, file } = installation
  if (!config) return [...versions(), ...(await running(installation))]
  const checks: Check[] = versions()
  const { warnings } = installation.unset.length > 0 ? { warnings: [] } : loadConfig(file)
  checks.push(
    warnings.length > 0
      ? warning('config', warnings.join('; '), '`weir check` tells more')
      : ok('config', file),
  )
  const machine: (() => Check[] | Promise<Check[]>)[] = [
    () => ports(config, note),
    () => [disk(config.data, config.spool.max_bytes)],
    () => [descriptors(note)],
    () => permissions(config, file),
    () => certificates(config),
    () => spool(config, note),
    () => running(installation),
  ]
  for (const look of machine)
    try {
      checks.push(...(await look()))
    } catch (error) {
      // One thing that cannot be looked at must not hide the others.
      checks.push(
        problem(
          'doctor',
          `a check failed: ${clean((error as Error).message)}`,
          'see the permissions of the data folder',
        ),
      )
    }
  return checks
}

const MARKS = { ok: ['✓', 'green'], warning: ['!', 'yellow'], problem: ['✗', 'red'] } as const

function lines(checks: readonly Check[], { paint }: Screen): string[] {
  const width = Math.max(...checks.map((c) => c.name.length))
  const text = checks.flatMap(({ name, state, detail, fix }) => {
    const [mark, style] = MARKS[state]
    const shown = clean(detail)
    return [
      `${paint(style, mark)} ${name.padEnd(width)}  ${state === 'ok' ? shown : paint(style, shown)}`,
      ...(fix ? [`  ${' '.repeat(width)}  fix: ${clean(fix)}`] : []),
    ]
  })
  const count = (state: Check['state']): number => checks.filter((c) => c.state === state).length
  const [problems, warnings] = [count('problem'), count('warning')]
  const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`
  const verdict =
    problems > 0
      ? paint('red', `${plural(problems, 'problem')}, ${plural(warnings, 'warning')}`)
      : warnings > 0
        ? paint('yellow', `no problems, ${plural(warnings, 'warning')}`)
        : paint('green', 'all is well')
  return [...text, '', verdict]
}

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, { ...STORE_OPTIONS, json: { type: 'boolean' } })
  const given = values as { json?: boolean; config?: string; url?: string; user?: string; password?: string }
  const installation = findInstallation(given)
  endWithReader()
  const checks = await examine(installation)
  const isSick = checks.some((c) => c.state === 'problem')
  if (given.json) await print(jsonLine({ ok: !isSick, running: installation.note !== null, checks }))
  else await print(`${lines(checks, screen()).join('\n')}\n`)
  return isSick ? 1 : 0
}
