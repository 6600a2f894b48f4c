/** `weir proxy`: the workers and the stdio host alone; events go to `collector.url`. */
import { loadConfig } from '../config/load.ts'
import { runParts } from './run.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir proxy [--config weir.yaml]

Runs the proxy alone. Events wait in the spool and go to \`collector.url\` with \`collector.token\`.`

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, { config: { type: 'string', short: 'c', default: 'weir.yaml' } })
  const { config } = loadConfig(values.config as string)
  if (!config.collector.url || !config.collector.token)
    throw new CliError(
      '`weir proxy` needs to know its collector',
      'set collector: { url: http://host:7333, token: <the same secret as at the collector> } in the config',
    )
  return runParts(
    USAGE,
    argv,
    ['proxy'],
    ({ supervisor }) =>
      `Weir proxy is running: ${supervisor.addresses.listeners.map((at) => `${at}/mcp`).join(', ')}, events to ${config.collector.url}\n`,
  )
}
