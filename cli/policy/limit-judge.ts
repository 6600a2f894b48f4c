/** Limits and budgets over calls of the past: what would have been refused had they been enforced from the first of these calls on. */
import type { PastCall } from '../../collector/queries/past-calls.ts'
import { limitEntries } from '../../config/limit-book.ts'
import type { Config } from '../../config/schema.ts'
import { type PastVerdict, simulation } from '../../limits/simulate.ts'
import type { Finding, Judge } from './judges.ts'

export class LimitJudge implements Judge {
  readonly about: string
  readonly #judge: (call: Parameters<ReturnType<typeof simulation>>[0]) => PastVerdict

  constructor(config: Pick<Config, 'limits' | 'teams' | 'budgets'>) {
    const entries = limitEntries(config).map((entry) => ({ ...entry, mode: 'enforce' as const }))
    const names = new Set(entries.map(({ name }) => name)).size
    this.about = `${names} limit${names === 1 ? '' : 's'}`
    this.#judge = simulation(entries)
  }

  judge(call: PastCall): Finding | null {
    const {
      caller,
      team,
      project,
      agent,
      principal: key,
      server,
      tool,
      method,
      roles,
      duration_us,
      cost_nano,
    } = call
    const subject = { caller, team, project, agent, key, server, tool, method, roles }
    const { limit, kind } = this.#judge({ ts_ms: call.ts_us / 1000, duration_us, cost_nano, subject })
    return limit === null ? null : { verdict: 'refused', by: limit, reason: `its ${kind} was used up` }
  }
}
