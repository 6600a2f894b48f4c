/**
 * The name of a server, told by the command that starts it: the package, the module, the script, else the program.
 * Pure. Invariant: what comes out is a valid server name, whatever went in.
 */
import { basename } from 'node:path'

/** How programs that run others are read: which of their words belong to an option, and which only choose what to do. */
type Runner = { readonly takesValue: RegExp; readonly verbs?: ReadonlySet<string> }

const verbs = (...words: string[]): ReadonlySet<string> => new Set(words)
const NODE: Runner = { takesValue: /^(-r|--require|--import|--loader|-C|--conditions|--env-file)$/ }
const NPX: Runner = { takesValue: /^(-p|--package|--registry|--cache|-w|--workspace)$/ }
const UV: Runner = {
  takesValue:
    /^(-p|--python|--from|--with|--with-editable|--directory|--project|--index-url|--env-file|--spec)$/,
  verbs: verbs('run', 'tool', 'x'),
}
const DOCKER: Runner = {
  takesValue:
    /^(-e|--env|--env-file|-v|--volume|--mount|-p|--publish|--name|--network|--net|-w|--workdir|-u|--user|--entrypoint|--platform|-l|--label|-m|--memory|--cpus|--pull|--add-host)$/,
  verbs: verbs('container', 'run'),
}
const RUNNERS: Readonly<Record<string, Runner>> = {
  node: NODE,
  tsx: NODE,
  'ts-node': NODE,
  npx: NPX,
  bunx: NPX,
  npm: { ...NPX, verbs: verbs('exec', 'x') },
  pnpm: { ...NPX, verbs: verbs('dlx', 'exec') },
  yarn: { ...NPX, verbs: verbs('dlx', 'exec') },
  bun: { ...NODE, verbs: verbs('run', 'x') },
  deno: { takesValue: /^(-c|--config|--import-map)$/, verbs: verbs('run') },
  uv: UV,
  uvx: UV,
  pipx: { ...UV, verbs: verbs('run') },
  python: { takesValue: /^(-m|-W|-X)$/ },
  docker: DOCKER,
  podman: DOCKER,
  env: { takesValue: /^(-u|--unset|-C|--chdir)$/ },
}

/** Names of files and folders that say nothing of the server in them. */
const PLAIN =
  /^(index|main|__main__|server|app|cli|start|run|mod|dist|build|out|lib|src|bin|target|release)$/i
const EXTENSION = /\.(m|c)?(j|t)sx?$|\.py$|\.sh$|\.exe$|\.cmd$/i

/** The word that names what a runner runs; '' when there is none. */
function ran(program: string, runner: Runner, args: readonly string[]): string {
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!
    if (word === '--') continue
    if (program === 'python' && word === '-m') return args[i + 1] ?? ''
    if (runner.takesValue.test(word)) i++
    else if (program === 'env' && word.includes('=')) continue
    else if (!word.startsWith('-') && !runner.verbs?.has(word)) return innermost(args.slice(i))
  }
  return ''
}

/** What a command runs in the end: `env A=b npx -y pkg` runs pkg. */
function innermost(words: readonly string[]): string {
  const program = basename(words[0] ?? '')
    .replace(/\.(exe|cmd)$/i, '')
    .replace(/^(python|pip|node)[\d.]+$/, '$1')
  const runner = Object.hasOwn(RUNNERS, program) ? RUNNERS[program] : undefined
  return (runner && ran(program, runner, words.slice(1))) || (words[0] ?? '')
}

/** The last part of a path that says something. */
function telling(path: string): string {
  const parts = path.split(/[\\/]/).filter((part) => part !== '' && part !== '.' && part !== '..')
  const bare = parts.map((part) => part.replace(EXTENSION, ''))
  return bare.findLast((part) => !PLAIN.test(part)) ?? bare.at(-1) ?? ''
}

/** A package or image without scope, registry and version. */
const unversioned = (word: string): string =>
  telling(word.replace(/(?<=.)@[^/@]*$/, '').replace(/:[^/:]*$/, ''))

/** `words`: the command with its arguments. */
export function serverNameOf(words: readonly string[]): string {
  const name = unversioned(innermost(words))
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 40)
    .replace(/-+$/, '')
  return name || 'server'
}
