/** Limits and budgets over calls of the past, by the arithmetic of the proxy itself. Those in shadow mode are taken as enforced. */
import type { PastCall } from '../../collector/queries/past-calls.ts'
import type { LimitEntry } from '../../config/limit-book.ts'
import { simulation } from '../../limits/simulate.ts'
import { inWords } from '../../limits/words.ts'
import type { Finding, Judge } from './judges.ts'

export class LimitJudge implements Judge {
  readonly about: string
  readonly #judge: ReturnType<typeof simulation>
  readonly #words: ReadonlyMap<string, string>

  constructor(entries: readonly LimitEntry[]) {
    const names = new Set(entries.map(({ name }) => name))
    const shadows = new Set(entries.filter(({ mode }) => mode === 'shadow').map(({ name }) => name)).size
    this.about = `${names.size} limit${names.size === 1 ? '' : 's'}${shadows > 0 ? ` (${shadows} in shadow mode, taken as enforced)` : ''}`
    this.#judge = simulation(entries.map((entry) => ({ ...entry, mode: 'enforce' as const })))
    this.#words = new Map(entries.map((entry) => [`${entry.kind} ${entry.name}`, inWords(entry)]))
  }

  judge(call: PastCall): Finding | null {
    // Never came as far as its limits.
    if (call.outcome === 'denied') return null
    const { caller, team, project, agent, server, tool, method, roles } = call
    const { limit, kind } = this.#judge({
      ts_ms: call.ts_us / 1000,
      duration_us: call.duration_us,
      cost_nano: call.cost_nano,
      subject: { caller, team, project, agent, server, tool, method, roles, key: call.principal },
    })
    if (limit === null) return null
    return { verdict: 'refused', by: limit, reason: `more than ${this.#words.get(`${kind} ${limit}`)}` }
  }
}
