/** `weir collector`: intake, OTLP and migrations alone, in front of a ClickHouse. */
import { loadConfig } from '../config/load.ts'
import { runParts } from './run.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir collector [--config weir.yaml]

Runs the collector alone, in front of \`store.url\`. Proxies send it their events with \`collector.token\`.`

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, { config: { type: 'string', short: 'c', default: 'weir.yaml' } })
  const { config } = loadConfig(values.config as string)
  if (!config.store.url)
    throw new CliError(
      '`weir collector` needs a ClickHouse',
      'set store: { url: http://host:8123, user: …, password: … } in the config, or use `weir up`',
    )
  if (!config.collector.token)
    throw new CliError(
      '`weir collector` needs the secret it shares with its proxies',
      'set collector: { token: <16 characters or more> } in the config',
    )
  return runParts(
    USAGE,
    argv,
    ['collector'],
    ({ supervisor }) => `Weir collector is running: ${supervisor.addresses.collector}\n`,
  )
}
