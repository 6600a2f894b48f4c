/** What every command shares: its shape, its options, its errors. Exit codes: 0 done, 1 failed, 2 used wrongly. */
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** Runs a command with the words after its name; resolves with the exit code. */
export type Verb = (argv: readonly string[]) => Promise<number>

/** Something the user can put right. */
export class CliError extends Error {
  readonly fix: string
  readonly exit_code: number
  constructor(message: string, fix = '', exit_code = 1) {
    super(message)
    this.fix = fix
    this.exit_code = exit_code
  }
}

const NODE_MAJOR_MIN = 26

/** Ends a command that an older Node could not carry out. */
export function needNode(): void {
  if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN)
    throw new CliError(
      `Weir needs Node ${NODE_MAJOR_MIN}; this is ${process.version}`,
      'run it through npm (npm start, npx weir): Node 26 comes with the package',
    )
}

type Options = NonNullable<ParseArgsConfig['options']>

/** Parses a command's words. Unknown or malformed options end with exit code 2 and the usage; --help prints it. */
export function readArgs<const O extends Options>(
  usage: string,
  argv: readonly string[],
  options: O,
  positionals_max = 0,
) {
  const all = { ...options, help: { type: 'boolean', short: 'h' } } as const
  let parsed: ReturnType<
    typeof parseArgs<{ options: typeof all; allowPositionals: true; args: string[]; strict: true }>
  >
  try {
    parsed = parseArgs({ args: [...argv], options: all, allowPositionals: true, strict: true })
  } catch (error) {
    throw new CliError(`${(error as Error).message.split('. ')[0]}\n\n${usage}`, '', 2)
  }
  if ((parsed.values as { help?: boolean }).help) {
    process.stdout.write(`${usage}\n`)
    process.exit(0)
  }
  if (parsed.positionals.length > positionals_max)
    throw new CliError(
      `too many words: ${parsed.positionals.slice(positionals_max).join(' ')}\n\n${usage}`,
      '',
      2,
    )
  return parsed
}
