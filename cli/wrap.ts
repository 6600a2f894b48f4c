/**
 * `weir wrap -- <command>`: a stdio server as it is, its calls recorded. The server's process is ours to start, its bytes are
 * not ours to touch. In normal operation Weir itself writes nothing, neither to stdout nor to stderr.
 */
import { parseArgs } from 'node:util'
import { CliError, needNode, type Verb } from './verb.ts'
import { serverNameOf } from './wrap/name.ts'
import { type Witness, WrappedServer } from './wrap/relay.ts'
import { findConfig, readSettings, type Settings, serverEnvironment, type Wanted } from './wrap/settings.ts'

const SYNOPSIS = 'weir wrap [--name NAME] [--config FILE] [--data FOLDER] -- <command> [args...]'
const USAGE = `usage: ${SYNOPSIS}

Runs a stdio server and records its calls. Put it before the command in a client's config:
  { "command": "npx", "args": ["-y", "mcp-weir", "wrap", "--config", "/path/to/weir.yaml", "--",
                               "npx", "-y", "@modelcontextprotocol/server-memory"] }

--name NAME     name of the server in the events; default: told by the command
--config FILE   weir.yaml of the installation the calls belong to
                (default: ./weir.yaml, then ~/.weir/weir.yaml)
--data FOLDER   its data folder instead; without --config everything else is as by default

Input, output, exit code and signals are those of the server. The calls wait in the data folder for the Weir that runs
there, now or later: see them with weir tail. The API key of the caller comes from the environment variable WEIR_KEY.`

const SERVER_NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,39}$/

const misuse = (message: string): CliError => new CliError(message, '', 2)

type Order = Wanted & { name: string; words: readonly string[] }

/** What is asked for; null for help. */
function orderOf(argv: readonly string[]): Order | null {
  const at = argv.indexOf('--')
  const words = at < 0 ? [] : argv.slice(at + 1)
  let parsed: {
    values: { name?: string; config?: string; data?: string; help?: boolean }
    positionals: string[]
  }
  try {
    parsed = parseArgs({
      args: at < 0 ? [...argv] : argv.slice(0, at),
      options: {
        name: { type: 'string' },
        config: { type: 'string', short: 'c' },
        data: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
      // Without -- the options of the server's command look like ours: what is wrong is the missing --.
      strict: at >= 0,
      allowPositionals: true,
    }) as typeof parsed
  } catch (error) {
    throw misuse(`${(error as Error).message.split('. ')[0]}; write: ${SYNOPSIS}`)
  }
  const { values, positionals } = parsed
  if (values.help && positionals.length === 0) return null
  if (at < 0)
    throw misuse(
      `there is no -- before the server's command; write: weir wrap -- ${positionals[0] ?? '<command>'} ...`,
    )
  if (positionals.length > 0)
    throw misuse(`"${positionals[0]}" stands before --; the server's command goes after it: ${SYNOPSIS}`)
  if (words.length === 0 || words[0] === '')
    throw misuse(
      'there is no command after --; write for example: weir wrap -- npx -y @modelcontextprotocol/server-memory',
    )
  const name = values.name ?? serverNameOf(words)
  if (!SERVER_NAME.test(name))
    throw misuse(
      `--name ${name} is not a server name: 1 to 40 letters, digits and "-", for example --name ${serverNameOf([name])}`,
    )
  return { name, words, config: values.config, data: values.data }
}

export const verb: Verb = async (argv) => {
  const order = orderOf(argv)
  if (order === null) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  needNode()
  const file = findConfig(order)
  // A config may be wrong, and then nothing is started; without one there is nothing to wait for.
  const ready = file === null ? null : await readSettings(file, order)
  const server = await WrappedServer.start(order.words, serverEnvironment())
  return run(server, order, ready ?? (await readSettings(null, order)))
}

async function run(server: WrappedServer, { name }: Order, settings: Settings): Promise<never> {
  const { witness, close } = await record(name, settings).catch((error: Error) => {
    process.stderr.write(`weir: the calls of ${name} are not recorded: ${error.message}\n`)
    return { witness: NOBODY, close: () => {} }
  })
  const ended = await server.relay(witness)
  close()
  return server.exit(ended)
}

/** Whatever keeps us from recording does not keep the server from serving. */
const NOBODY: Witness = { fromClient() {}, fromServer() {}, clientGone() {}, serverGone() {} }

async function record(name: string, settings: Settings): Promise<{ witness: Witness; close(): void }> {
  // Loaded while the server starts.
  const [{ WrappedCalls }, { Recording }, { nowUs }, { compileLabels }, { endText }] = await Promise.all([
    import('./wrap/calls.ts'),
    import('./wrap/recording.ts'),
    import('../proxy/telemetry/clock.ts'),
    import('../proxy/telemetry/trace.ts'),
    import('../proxy/host/channel.ts'),
  ])
  const { config, data, identity } = settings
  const recording = new Recording(config, data, (reason) =>
    process.stderr.write(
      `weir: the calls of ${name} are not recorded: ${reason}; check the folder ${data}\n`,
    ),
  )
  const calls = new WrappedCalls(
    { server: name, identity, labels: compileLabels(config.labels), incoming: config.trace.incoming },
    recording,
  )
  return {
    witness: {
      fromClient: (chunk) => calls.fromClient(chunk, nowUs()),
      fromServer: (chunk) => calls.fromServer(chunk, nowUs()),
      clientGone: () => calls.clientGone(),
      serverGone: ({ code, signal }) => calls.serverGone(endText({ exit_code: code, signal })),
    },
    close: () => recording.close(),
  }
}
