/** Runs parts of Weir under supervision until a signal ends them: what up, proxy, collector and store share. */
import { readFileSync, realpathSync, watch } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { sha256Hex } from '../config/key-text.ts'
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
  const { config, warnings, sha256 } = loadConfig(file)
  for (const warning of warnings) process.stderr.write(`${file}: ${warning}\n`)
  const supervisor = makeSupervisor(config, parts, { path: file, sha256 })
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

function makeSupervisor(
  config: Config,
  parts: readonly Part[],
  file: { path: string; sha256: string },
): Supervisor {
  try {
    return new Supervisor(config, parts, file)
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

/** Takes over what the file says now. Never rejects: what is wrong is said on standard error, and in the note of what runs. */
async function reread(file: string, supervisor: Supervisor, isForced: boolean): Promise<void> {
  const say = (reason: string): void => {
    process.stderr.write(`config not reloaded, the old one stays: ${reason}\n`)
  }
  let loaded: ReturnType<typeof loadConfig>
  try {
    loaded = loadConfig(file)
  } catch (error) {
    const problems = (error as { problems?: Parameters<typeof formatProblem>[0][] }).problems
    const reason = problems ? `\n${problems.map(formatProblem).join('\n')}` : (error as Error).message
    supervisor.takeOver.refused(reason.trim(), digestOf(file))
    return say(reason)
  }
  try {
    await supervisor.reload(loaded.config, loaded.sha256, isForced)
    process.stderr.write(`config reloaded from ${file}\n`)
  } catch (error) {
    supervisor.takeOver.refused((error as Error).message, loaded.sha256)
    say((error as Error).message)
  }
}

/** SHA-256 of a text that does not load; '' when there is none. */
function digestOf(file: string): string {
  try {
    return sha256Hex(readFileSync(file, 'utf8'))
  } catch {
    return ''
  }
}

function watchConfig(file: string, supervisor: Supervisor): void {
  supervisor.takeOver.reread = () => reread(file, supervisor, false)
  let timer: NodeJS.Timeout | null = null
  let isForced = false
  const soon = (): void => {
    if (timer) clearTimeout(timer)
    timer = setTimeout(() => {
      timer = null
      void reread(file, supervisor, isForced)
      isForced = false
    }, SETTLE_MS)
  }
  // Whoever sends it means it: what the config leads to (certificates, files) may have changed.
  process.on('SIGHUP', () => {
    isForced = true
    soon()
  })
  try {
    // The folder, not the file: editors and Kubernetes replace files instead of writing them. Of a link also where it leads.
    for (const path of new Set([file, realpathSync(file)]))
      watch(dirname(path), { persistent: false }, (_event, name) => {
        if (name === basename(path) || name === '..data') soon()
      })
  } catch {
    process.stderr.write('changes of the config file are not seen here; send SIGHUP to reload\n')
  }
}
