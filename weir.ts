#!/usr/bin/env node
/** The command: `weir <verb>`. Finds the verb's file, runs it, turns what it throws into a message and an exit code. */
import { CliError, type Verb } from './cli/verb.ts'

/** One line per verb; the file is only loaded when it is asked for. */
const VERBS: Record<string, { about: string; load: () => Promise<{ verb: Verb }> }> = {
  up: { about: 'run everything on this machine: proxy, collector, store', load: () => import('./cli/up.ts') },
  proxy: { about: 'run the proxy alone, for a fleet', load: () => import('./cli/proxy.ts') },
  collector: { about: 'run the collector alone, for a fleet', load: () => import('./cli/collector.ts') },
  store: { about: 'run the embedded ClickHouse alone', load: () => import('./cli/store.ts') },
  connect: {
    about: 'a running Weir for clients that only speak stdio',
    load: () => import('./cli/connect.ts'),
  },
  wrap: {
    about: 'a stdio server as it is, its calls recorded: weir wrap -- <command>',
    load: () => import('./cli/wrap.ts'),
  },
  init: { about: 'write a weir.yaml to start from', load: () => import('./cli/init.ts') },
  check: {
    about: 'check weir.yaml: the exact place of every problem, and the fix',
    load: () => import('./cli/check.ts'),
  },
  tail: { about: 'calls as they come', load: () => import('./cli/tail.ts') },
  top: { about: 'tools by calls, errors and latency, now', load: () => import('./cli/top.ts') },
  trace: { about: 'one trace as a waterfall', load: () => import('./cli/trace.ts') },
  runs: { about: 'agent runs: calls, failures, loops, cost', load: () => import('./cli/runs.ts') },
  run: { about: 'one agent run: steps, critical path, findings', load: () => import('./cli/agent-run.ts') },
  unused: {
    about: 'tools that cost context and are never called, and what leaving them out saves',
    load: () => import('./cli/unused.ts'),
  },
  anomalies: {
    about: 'what is unlike it usually is, and how well the detectors find it',
    load: () => import('./cli/anomalies.ts'),
  },
  query: { about: 'SQL to the store, read-only', load: () => import('./cli/query.ts') },
  export: {
    about: 'costs of a month for finance: weir export focus --month 2026-10',
    load: () => import('./cli/export.ts'),
  },
  policy: {
    about: 'rules tried on the calls of the past, or explained: test, explain',
    load: () => import('./cli/policy.ts'),
  },
  rerate: {
    about: 'rate the calls of some days anew by the prices in force',
    load: () => import('./cli/rerate.ts'),
  },
  silence: {
    about: 'keep alerts quiet for a while: add, list, remove',
    load: () => import('./cli/silence.ts'),
  },
  key: {
    about: 'API keys and personal tokens: create, rotate, revoke, list',
    load: () => import('./cli/key.ts'),
  },
  changes: {
    about: 'who changed what in the configuration, when, from what to what',
    load: () => import('./cli/changes.ts'),
  },
  doctor: {
    about: 'look at everything that can be wrong: ports, versions, servers, spool, store',
    load: () => import('./cli/doctor.ts'),
  },
}

function help(): string {
  const width = Math.max(...Object.keys(VERBS).map((v) => v.length))
  const lines = Object.entries(VERBS).map(([name, { about }]) => `  weir ${name.padEnd(width)}  ${about}`)
  return `Weir: one endpoint in front of all your MCP servers; every call recorded.\n\n${lines.join('\n')}\n\n  weir <command> --help for its options\n`
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(help())
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    const { version } = await import('./cli/version.ts')
    process.stdout.write(`${version()}\n`)
    return 0
  }
  const entry = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined
  if (!entry) {
    process.stderr.write(`weir: there is no command "${name}"\n\n${help()}`)
    return 2
  }
  const { verb } = await entry.load()
  return verb(rest)
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    // By its name: the class comes with YAML and zod, which not every command needs.
    if (error instanceof Error && error.name === 'ConfigError') process.stderr.write(`${error.message}\n`)
    else if (error instanceof CliError)
      process.stderr.write(`weir: ${error.message}${error.fix ? `\n  fix: ${error.fix}` : ''}\n`)
    else
      process.stderr.write(
        `weir: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
      )
    process.exitCode = error instanceof CliError ? error.exit_code : 1
  },
)
