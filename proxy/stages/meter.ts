/**
 * Takes the numbers that price formulas name from the arguments of a tool call. Only such numbers leave the worker: the length
 * of a text or list, or a number itself. Compiled when the config loads; without a formula the stage is not there.
 */
import { codePoints } from '../../config/code-points.ts'
import { compileFormula, type Meter } from '../../config/formula.ts'
import { fits } from '../../config/glob.ts'
import type { PriceEntry } from '../../config/price-book.ts'
import type { Call } from '../call.ts'
import type { Stage } from '../pipeline.ts'

/** Pairs of server and tool remembered: clients choose the names of tools. */
const REMEMBERED_MAX = 5_000

/** The number a meter asks for; undefined when the arguments hold none. */
function read(meter: Meter, args: unknown): number | undefined {
  let value = args
  for (const step of meter.path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  if (!meter.isSize) return typeof value === 'number' && Number.isFinite(value) ? value : undefined
  if (Array.isArray(value)) return value.length
  // Characters, not UTF-16 units: what people count.
  if (typeof value === 'string') return codePoints(value)
  return undefined
}

/** Null when no price has a formula that asks for anything. */
export function meter(prices: readonly PriceEntry[]): Stage | null {
  const formulas = prices
    .filter((price) => price.formula !== '')
    .map(({ server, tool, formula }) => ({
      server: server.split('*'),
      tool: tool.split('*'),
      meters: compileFormula(formula).meters,
    }))
    .filter(({ meters }) => meters.length > 0)
  if (formulas.length === 0) return null
  const known = new Map<string, readonly Meter[]>()
  const metersOf = (server: string, tool: string): readonly Meter[] => {
    const key = `${server}\n${tool}`
    const found = known.get(key)
    if (found) return found
    const fitting = formulas.filter((f) => fits(f.server, server) && fits(f.tool, tool))
    const byName = new Map(fitting.flatMap((f) => f.meters.map((m) => [m.name, m])))
    if (known.size >= REMEMBERED_MAX) known.clear()
    const meters = [...byName.values()]
    known.set(key, meters)
    return meters
  }
  return {
    name: 'meter',
    why: 'prices are named by server and tool, and the arguments are still there',
    needs: 'target',
    before(call: Call) {
      if (call.method !== 'tools/call' || call.kind !== 'request') return
      const meters = metersOf(call.server, call.tool)
      if (meters.length === 0) return
      const args = call.message?.params?.arguments
      const numbers: Record<string, number> = {}
      for (const wanted of meters) {
        const value = read(wanted, args)
        if (value !== undefined) numbers[wanted.name] = value
      }
      call.meters = numbers
    },
  }
}
