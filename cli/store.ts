/** `weir store`: the embedded ClickHouse alone, for collectors elsewhere. */
import { loadConfig } from '../config/load.ts'
import { runParts } from './run.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir store [--config weir.yaml]

Runs the embedded ClickHouse alone on \`store.listen\`. Collectors write as user weir with \`store.password\`; readers need \`store.reader_password\` when set.`

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, { config: { type: 'string', short: 'c', default: 'weir.yaml' } })
  const { config } = loadConfig(values.config as string)
  if (!config.store.password)
    throw new CliError(
      '`weir store` needs the password its collectors write with',
      'set store: { password: <secret> } in the config',
    )
  if (config.store.url)
    throw new CliError(
      '`store.url` names an external ClickHouse, so there is nothing to run',
      'remove store.url from this config',
    )
  return runParts(
    USAGE,
    argv,
    ['store'],
    ({ supervisor }) => `Weir store is running: ${supervisor.addresses.store}\n`,
  )
}
