/**
 * From config to what is spawned: the words of a command line and the environment of a child.
 * There is no shell: quotes group words, a backslash takes the next character as it is, nothing is expanded.
 */

export type ChildSpec = { file: string; args: string[]; env: Record<string, string>; cwd: string | undefined }

/** Splits a command line into words. Throws when a quote is left open or there is no word. */
export function splitCommand(line: string): string[] {
  const words: string[] = []
  let word: string | null = null
  let quote = ''
  for (let i = 0; i < line.length; i++) {
    const c = line[i]!
    if (quote === "'") {
      if (c === "'") quote = ''
      else word += c
    } else if (quote === '"') {
      if (c === '"') quote = ''
      else if (c === '\\' && (line[i + 1] === '"' || line[i + 1] === '\\')) word += line[++i]!
      else word += c
    } else if (c === "'" || c === '"') {
      quote = c
      word ??= ''
    } else if (c === '\\' && i + 1 < line.length) word = (word ?? '') + line[++i]!
    else if (c === ' ' || c === '\t' || c === '\n' || c === '\r') {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + c
  }
  if (quote !== '') throw new Error(`the command has an open ${quote === '"' ? 'double' : 'single'} quote`)
  if (word !== null) words.push(word)
  if (words.length === 0 || words[0] === '') throw new Error('the command is empty')
  return words
}

const INHERITED = new Set(['PATH', 'HOME', 'LANG', 'TMPDIR', 'TZ', 'USER', 'SHELL', 'LOGNAME', 'TERM'])
const isInherited = (name: string): boolean =>
  INHERITED.has(name) || name.startsWith('LC_') || name.startsWith('XDG_')

/** The allow-listed part of our own environment and the configured one over it. Weir's own secrets never reach a child. */
export function childEnv(
  configured: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(own)) {
    // An exported shell function would be code.
    if (value !== undefined && isInherited(name) && !value.startsWith('()')) env[name] = value
  }
  return Object.assign(env, configured)
}

/** What to spawn for a server. Throws when the command cannot be read. */
export function childSpec(
  server: {
    command: string | readonly string[]
    args: readonly string[]
    env: Record<string, string>
    cwd?: string | undefined
  },
  own: Readonly<Record<string, string | undefined>>,
): ChildSpec {
  const words = typeof server.command === 'string' ? splitCommand(server.command) : server.command
  const file = words[0]
  if (file === undefined || file === '') throw new Error('the command is empty')
  return { file, args: [...words.slice(1), ...server.args], env: childEnv(server.env, own), cwd: server.cwd }
}
