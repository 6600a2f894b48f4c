/** `weir check`: every problem of a config with its place and fix; without one, what it means on this machine. */
import { relative, resolve } from 'node:path'
import { ConfigError, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { publicUrl, transportOf } from '../config/transport.ts'
import { readNote } from '../supervisor/data-folder.ts'
import {
  commandWarnings,
  keyWarnings,
  type Listener,
  listenersOf,
  readText,
  referencesOf,
  secretWarnings,
  serverLines,
  type Variable,
  type Warning,
} from './findings.ts'
import { type Probe, probe } from './probe.ts'
import { table } from './table.ts'
import { clean, cut, duration, endWithReader, jsonLine, print, type Screen, screen } from './terminal.ts'
import { readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir check [--config weir.yaml] [--servers] [--json]

Reads the config and prints every problem with its line and fix. Exit code 1 when there is one.

  -c, --config FILE   the file (default: ./weir.yaml)
  --servers           also contact every server: start it or call it, list its tools; exit code 1 when one fails
  --json              one JSON object`

const PROBES_AT_ONCE = 4

async function probeAll(config: Config): Promise<Probe[]> {
  const todo = Object.entries(config.servers)
  const done: Probe[] = []
  const work = async (): Promise<void> => {
    for (let next = todo.shift(); next; next = todo.shift())
      done.push(await probe(next[0], next[1], process.env))
  }
  await Promise.all(Array.from({ length: PROBES_AT_ONCE }, work))
  const order = Object.keys(config.servers)
  return done.sort((a, b) => order.indexOf(a.server) - order.indexOf(b.server))
}

const listenerWarning = ({ setting, address, state, detail }: Listener): Warning[] =>
  state === 'taken' || state === 'unusable'
    ? [
        {
          line: 0,
          path: setting,
          message: `${address}: ${detail}`,
          fix:
            state === 'taken'
              ? `stop that program, or set ${setting} to another port`
              : `set ${setting} to an address of this machine and a port above 1023`,
        },
      ]
    : []

const describe = (server: Config['servers'][string]): string =>
  server.url !== undefined
    ? `${server.transport === 'sse' ? 'sse: ' : ''}${publicUrl(server.url)}`
    : `stdio: ${[...(typeof server.command === 'string' ? [server.command] : (server.command ?? [])), ...server.args].join(' ')}`

function summary(
  config: Config,
  listeners: readonly Listener[],
  variables: readonly Variable[],
  now: Screen,
): string[] {
  const line = (name: string, text: string): string =>
    `  ${now.paint('dim', name.padEnd(15))} ${cut(clean(text), now.width - 18)}`
  const servers = Object.entries(config.servers)
  const callers = Object.entries(config.callers)
  const names = [...new Map(variables.map((v) => [v.name, v])).values()]
  return [
    ...(servers.length
      ? servers.map(([name, server], i) => line(i === 0 ? 'servers' : '', `${name}  ${describe(server)}`))
      : [line('servers', 'none')]),
    ...(callers.length
      ? callers.map(([name, c], i) =>
          line(
            i === 0 ? 'callers' : '',
            [
              name,
              c.team && `team ${c.team}`,
              c.project && `project ${c.project}`,
              `${c.keys.length} ${c.keys.length === 1 ? 'key' : 'keys'}`,
            ]
              .filter(Boolean)
              .join(', '),
          ),
        )
      : [line('callers', 'none: every program on this machine may call, as `local`')]),
    ...listeners.map((l) => line(l.setting, `${l.address}  ${l.detail}`)),
    line(
      'store',
      config.store.url
        ? `${publicUrl(config.store.url)}, database ${config.store.database}`
        : `embedded, in ${config.data}`,
    ),
    ...(names.length
      ? [line('variables', names.map((v) => `${v.name}${v.isSet ? '' : ' (default used)'}`).join(', '))]
      : []),
  ]
}

function probeLines(probes: readonly Probe[], now: Screen): string[] {
  const rows = probes.map((p) => [
    clean(p.server),
    { text: p.ok ? 'answers' : 'FAILS', style: p.ok ? 'green' : 'red' } as const,
    duration(p.duration_ms * 1000),
    p.era === 'unknown' ? '-' : p.era,
    clean(p.version) || '-',
    p.tools === null ? '-' : String(p.tools),
    clean(p.name) || '-',
  ])
  const columns = [
    { head: 'server', min: 8, rank: 0 },
    { head: 'state', min: 7, rank: 0 },
    { head: 'time', align: 'right', min: 7, rank: 1 },
    { head: 'era', min: 6, rank: 3 },
    { head: 'revision', min: 10, rank: 2 },
    { head: 'tools', align: 'right', min: 5, rank: 1 },
    { head: 'calls itself', min: 12, rank: 4 },
  ] as const
  const errors = probes
    .filter((p) => !p.ok)
    .map((p) => now.paint('red', cut(clean(`${p.server}: ${p.error}`), now.width)))
  return ['', ...table(columns, rows, now), ...errors]
}

const shownPath = (file: string): string => {
  const near = relative('.', file)
  return near.startsWith('..') ? file : near
}

async function broken(error: ConfigError, file: string, isJson: boolean): Promise<number> {
  const problems = [...error.problems].sort((a, b) => a.line - b.line || a.column - b.column)
  if (isJson) await print(jsonLine({ ok: false, file, problems, warnings: [] }))
  else {
    const { paint } = screen()
    const lines = problems.flatMap((p) => [
      `${paint('bold', clean(`${shownPath(p.file)}:${p.line}:${p.column}`))} ${paint('red', clean(p.path ? `${p.path}: ${p.message}` : p.message))}`,
      ...(p.fix ? [`    fix: ${clean(p.fix)}`] : []),
    ])
    await print(
      `${lines.join('\n')}\n\n${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}\n`,
    )
  }
  return 1
}

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    config: { type: 'string', short: 'c', default: 'weir.yaml' },
    servers: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  const given = values as { config: string; servers?: boolean; json?: boolean }
  const file = resolve(given.config)
  endWithReader()
  let loaded: ReturnType<typeof loadConfig>
  try {
    loaded = loadConfig(file)
  } catch (error) {
    if (error instanceof ConfigError) return broken(error, file, given.json === true)
    throw error
  }
  const { config } = loaded
  const text = readText(file)
  const references = referencesOf(text, file, process.env)
  const listeners = await listenersOf(config, readNote(config.data)?.pid ?? 0)
  const warnings: Warning[] = [
    ...loaded.warnings.map((message) => ({ line: 0, path: '', message, fix: '' })),
    ...listeners.flatMap(listenerWarning),
    ...commandWarnings(config, serverLines(text), process.env),
    ...keyWarnings(config),
    ...secretWarnings(file, references),
  ]
  const probes = given.servers ? await probeAll(config) : []
  const isFailed = probes.some((p) => !p.ok)
  if (given.json) {
    const servers = Object.entries(config.servers).map(([name, s]) => ({
      name,
      transport: transportOf(s),
      target: describe(s),
    }))
    await print(
      jsonLine({
        ok: !isFailed,
        file,
        problems: [],
        warnings,
        servers,
        callers: Object.keys(config.callers),
        listeners,
        variables: references.variables,
        ...(given.servers ? { probes } : {}),
      }),
    )
    return isFailed ? 1 : 0
  }
  const now = screen()
  const shownWarnings = warnings.flatMap((w) => [
    `${now.paint('yellow', 'warning')} ${clean(`${shownPath(file)}${w.line ? `:${w.line}` : ''} ${w.path ? `${w.path}: ` : ''}${w.message}`)}`,
    ...(w.fix ? [`    fix: ${clean(w.fix)}`] : []),
  ])
  const lines = [
    now.paint('green', `${clean(shownPath(file))} has no problems`),
    ...summary(config, listeners, references.variables, now),
    ...(shownWarnings.length ? ['', ...shownWarnings] : []),
    ...(given.servers ? probeLines(probes, now) : []),
  ]
  await print(`${lines.join('\n')}\n`)
  return isFailed ? 1 : 0
}
