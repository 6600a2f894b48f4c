/** `weir up`: everything on this machine. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { sampleConfig } from './init.ts'
import { type Running, runParts } from './run.ts'
import { CliError, type Verb } from './verb.ts'

const USAGE = `usage: weir up [--config weir.yaml]

Runs proxy, collector and the embedded ClickHouse. Reads the config again when it changes. Ctrl-C stops cleanly.`

/** How to point the common clients at a URL. */
export const clientSetup = (
  url: string,
): string => `  Claude Code   claude mcp add --transport http weir ${url}
  Cursor        ~/.cursor/mcp.json:  { "mcpServers": { "weir": { "url": "${url}" } } }
  VS Code       code --add-mcp '{"name":"weir","type":"http","url":"${url}"}'
`

export function banner({ supervisor, config, file }: Running): string {
  const { proxy, listeners, collector, store } = supervisor.addresses
  const names = Object.keys(config.servers)
  const others = listeners.slice(1).map((at) => `  also at       ${at}/mcp\n`)
  return `Weir is running.

  all servers   ${proxy}/mcp
${others.join('')}${names.map((n) => `  ${n.padEnd(12)}  ${proxy}/servers/${n}/mcp\n`).join('')}  console       ${collector}/   (open it in a browser; OTLP at /v1/traces, /metrics, /readyz)
  ClickHouse    ${store || config.store.url}   (read-only SQL; try: weir query "SELECT server, tool, outcome FROM calls")

Point a client at it:
${clientSetup(`${proxy}/mcp`)}
Or leave its stdio servers as they are, each with this before its command:
  npx -y mcp-weir wrap --config ${file} --

See the calls: weir tail · weir top
`
}

export const verb: Verb = async (argv) => {
  if (
    !argv.some((a) => a.startsWith('--config') || a === '-c' || a === '--help' || a === '-h') &&
    !existsSync('weir.yaml')
  )
    throw new CliError(
      `there is no weir.yaml in ${resolve('.')}`,
      `\`weir init\` writes this one, ready to run:\n\n${sampleConfig()
        .split('\n')
        .map((l) => `    ${l}`)
        .join('\n')}`,
    )
  return runParts(USAGE, argv, ['store', 'collector', 'proxy'], banner)
}
