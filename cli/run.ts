/** Runs parts of Weir under supervision until a signal ends them: what up, proxy, collector and store share. */
import { watch } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { formatProblem, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { FolderBusy } from '../supervisor/data-folder.ts'
import { type Part, Supervisor } from '../supervisor/supervisor.ts'
import { CliError, needNode, readArgs } from './verb.ts'

const SETTLE_MS = 200

export type Running = { supervisor: Supervisor; config: Config; file: string }

/** Starts the parts of a config file. The config is read again on SIGHUP and when the file changes. */
export async function runParts(
  usage: string,
  argv: readonly string[],
  parts: readonly Part[],
  banner: (running: Running) => string,
): Promise<number> {
  needNode()
  const { values } = readArgs(usage, argv, { config: { type: 'string', short: 'c', default: 'weir.yaml' } })
  const file = resolve(values.config as string)
  const { config, warnings } = loadConfig(file)
  for (const warning of warnings) process.stderr.write(`${file}: ${warning}\n`)
  const supervisor = makeSupervisor(config, parts)
  const ended = untilSignal(supervisor)
  try {
    await supervisor.start()
  } catch (error) {
    throw explainStart(error as Error)
  }
  process.stdout.write(banner({ supervisor, config, file }))
  watchConfig(file, supervisor)
  return ended
}

function makeSupervisor(config: Config, parts: readonly Part[]): Supervisor {
  try {
    return new Supervisor(config, parts)
  } catch (error) {
    if (error instanceof FolderBusy) throw new CliError(error.message)
    throw new CliError(
      `the data folder ${config.data} cannot be used: ${(error as Error).message}`,
      'check its permissions, or set `data` to another folder',
    )
  }
}

function explainStart(error: Error): CliError {
  const taken = /EADDRINUSE[^\d:]*((?:\d+\.){3}\d+|\S*?):(\d+)/.exec(error.message)
  if (taken)
    return new CliError(
      `the port ${taken[2]} is already in use`,
      `stop the program that uses it (weir doctor names it), or change \`listen\`, \`console.listen\` or \`store.listen\``,
    )
  const denied = /EACCES.*:(\d+)/.exec(error.message)
  if (denied)
    return new CliError(`the port ${denied[1]} may not be used by this user`, 'choose a port above 1023')
  const unknown = /EADDRNOTAVAIL\D*([\d.]+)/.exec(error.message)
  if (unknown)
    return new CliError(
      `the address ${unknown[1]} is not one of this machine`,
      'listen on 127.0.0.1 or 0.0.0.0',
    )
  return new CliError(`Weir could not start: ${error.message}`)
}

/** Resolves after a clean stop. A second signal ends at once. */
function untilSignal(supervisor: Supervisor): Promise<number> {
  return new Promise((resolveCode) => {
    let signals = 0
    const stop = (): void => {
      if (++signals > 1) process.exit(130)
      supervisor.stop().then(
        () => {
          resolveCode(0)
          process.exit(0)
        },
        (error: Error) => {
          process.stderr.write(`weir: ${error.message}\n`)
          process.exit(1)
        },
      )
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}

function watchConfig(file: string, supervisor: Supervisor): void {
  let timer: NodeJS.Timeout | null = null
  const reload = (): void => {
    timer = null
    let config: Config
    try {
      config = loadConfig(file).config
    } catch (error) {
      const problems = (error as { problems?: Parameters<typeof formatProblem>[0][] }).problems
      process.stderr.write(
        `config not reloaded, the old one stays:\n${problems ? problems.map(formatProblem).join('\n') : (error as Error).message}\n`,
      )
      return
    }
    supervisor.reload(config).then(
      () => process.stderr.write(`config reloaded from ${file}\n`),
      (error: Error) => process.stderr.write(`config not reloaded, the old one stays: ${error.message}\n`),
    )
  }
  const soon = (): void => {
    if (timer) clearTimeout(timer)
    timer = setTimeout(reload, SETTLE_MS)
  }
  process.on('SIGHUP', soon)
  try {
    // The folder, not the file: editors and Kubernetes replace files instead of writing them.
    watch(dirname(file), { persistent: false }, (_event, name) => {
      if (name === basename(file) || name === '..data') soon()
    })
  } catch {
    process.stderr.write('changes of the config file are not seen here; send SIGHUP to reload\n')
  }
}
