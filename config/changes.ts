/** What changed between two configs, and which of it cannot be taken over while running. */
import type { ConfigMeta } from './leaves.ts'
import type { Config } from './schema.ts'
import { configSchema } from './schema.ts'

type Node = {
  meta?: () => ConfigMeta | undefined
  def?: { type: string; innerType?: Node; shape?: Record<string, Node> }
}

const inner = (node: Node): Node => (node.def?.innerType ? inner(node.def.innerType) : node)
const needsRestart = (node: Node | undefined): boolean => {
  for (let at = node; at; at = at.def?.innerType) if (at.meta?.()?.reload === false) return true
  return false
}

/** Paths of the settings that differ and need a restart. */
export function restartChanges(before: Config, after: Config): string[] {
  const found: string[] = []
  const walk = (node: Node, a: unknown, b: unknown, path: string): void => {
    if (JSON.stringify(a) === JSON.stringify(b)) return
    if (needsRestart(node)) {
      found.push(path)
      return
    }
    const shape = inner(node).def?.shape
    if (!shape) return
    for (const [key, child] of Object.entries(shape))
      walk(
        child,
        (a as Record<string, unknown>)?.[key],
        (b as Record<string, unknown>)?.[key],
        path ? `${path}.${key}` : key,
      )
  }
  // Of a listener its place is fixed, whether it speaks TLS, and whom it asks for a certificate.
  const fixed = ({ listen, ...rest }: Config) => ({
    ...rest,
    listen: listen.map(({ address, tls }) => [address, tls?.client_auth ?? null]),
  })
  walk(configSchema as unknown as Node, fixed(before), fixed(after), '')
  return found
}

/** Paths of all settings that differ, down to the entries of mappings; lists count as one. No values. */
export function changedPaths(before: unknown, after: unknown, path = ''): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return []
  const isMapping = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isMapping(before) || !isMapping(after)) return [path]
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) =>
    changedPaths(before[key], after[key], path === '' ? key : `${path}.${key}`),
  )
}
