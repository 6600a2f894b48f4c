/** `weir init`: a weir.yaml to start from. Never overwrites one. */
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir init [--config weir.yaml]

Writes a small config with three servers from npm. All settings: docs/config.md.`

/** A config that runs as it is, wherever npx can reach the npm registry. */
export const sampleConfig =
  (): string => `# Weir: one endpoint in front of all your MCP servers. All settings: docs/config.md
listen: 127.0.0.1:7332

servers:
  everything: { command: npx -y @modelcontextprotocol/server-everything stdio }
  files:      { command: npx -y @modelcontextprotocol/server-filesystem . }
  memory:     { command: npx -y @modelcontextprotocol/server-memory }
  # remote:   { url: https://example.com/mcp, credentials: { bearer: "\${REMOTE_TOKEN}" } }

# Without callers, every program on this machine may call, as \`local\`. With them, only these keys:
# callers:
#   my-agent: { team: research, project: demo, keys: [ { sha256: <sha-256 of the key, in hex> } ] }
`

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, { config: { type: 'string', short: 'c', default: 'weir.yaml' } })
  const file = resolve(values.config as string)
  try {
    writeFileSync(file, sampleConfig(), { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new CliError(`${file} is already there`, 'edit it, or name another with --config')
    throw new CliError(`${file} cannot be written: ${(error as Error).message}`)
  }
  process.stdout.write(`wrote ${file}\nnext: weir up\n`)
  return 0
}
