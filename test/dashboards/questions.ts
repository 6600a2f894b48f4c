/** Every query of every built board: panels, variables, annotations; and how Grafana would ask it. */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Choice } from './plugin.ts'

export const BUILT = join(import.meta.dirname, '../../dashboards/grafana/built')

export type PanelJson = {
  id: number
  type: string
  title: string
  description?: string
  interval?: string
  gridPos: { x: number; y: number; w: number; h: number }
  datasource?: { type: string; uid: string }
  targets?: { refId: string; rawSql: string; format: number; datasource: { uid: string } }[]
  fieldConfig?: {
    defaults: { unit?: string; noValue?: string; links?: { url: string }[] }
    overrides: { matcher: { options: string }; properties: { id: string; value: unknown }[] }[]
  }
}
export type BoardJson = {
  uid: string
  title: string
  panels: PanelJson[]
  annotations: { list: { name: string; target: { rawSql: string } }[] }
  templating: {
    list: { name: string; type: string; query: string | { rawSql: string }; current: { value: Choice } }[]
  }
}

export const boards: Record<string, BoardJson> = Object.fromEntries(
  globSync('*.json', { cwd: BUILT })
    .sort()
    .map((file) => [
      basename(file, '.json'),
      JSON.parse(readFileSync(join(BUILT, file), 'utf8')) as BoardJson,
    ]),
)

export type Question = {
  board: string
  kind: 'panel' | 'variable' | 'annotation'
  title: string
  type: string
  refId: string
  sql: string
  /** The smallest step of the panel, milliseconds. */
  step_ms: number
}

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const stepOf = (interval = '15s'): number => Number.parseInt(interval, 10) * UNITS[interval.at(-1)!]!

export const questions: Question[] = Object.entries(boards).flatMap(([board, json]) => [
  ...json.panels.flatMap((panel) =>
    (panel.targets ?? []).map((target) => ({
      board,
      kind: 'panel' as const,
      title: panel.title,
      type: panel.type,
      refId: target.refId,
      sql: target.rawSql,
      step_ms: stepOf(panel.interval),
    })),
  ),
  ...json.templating.list.flatMap((variable) =>
    typeof variable.query === 'object'
      ? [
          {
            board,
            kind: 'variable' as const,
            title: variable.name,
            type: 'variable',
            refId: variable.name,
            sql: variable.query.rawSql,
            step_ms: 15_000,
          },
        ]
      : [],
  ),
  ...json.annotations.list.map((annotation) => ({
    board,
    kind: 'annotation' as const,
    title: annotation.name,
    type: 'annotation',
    refId: 'annotation',
    sql: annotation.target.rawSql,
    step_ms: 15_000,
  })),
])

/** What a board's variables hold when it opens: All, and empty texts. */
export const opening = (board: string): Record<string, Choice> =>
  Object.fromEntries(
    boards[board]!.templating.list.map((variable) => [variable.name, variable.current?.value ?? '']),
  )
