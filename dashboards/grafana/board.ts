/**
 * A board: rows of panels, the variables its panels answer, what happened on the time axis, and the way to the other boards.
 * Invariant: a board offers only variables that its panels ask for, or a choice would seem to change figures it does not.
 */
import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard'
import { ANNOTATIONS } from './annotations.ts'
import type { Panel } from './panel.ts'
import { flat, PLUGIN, query, SOURCE, VARIABLES, type VariableName, variableSql } from './query.ts'

export type Row = { title: string; panels: readonly Panel[] }
export type Board = {
  uid: string
  title: string
  description: string
  variables: readonly VariableName[]
  /** Plugin of the data source; ClickHouse unless said otherwise. Only it has annotations. */
  plugin?: string
  /** Free texts, by name, with label and first value. */
  texts?: Readonly<Record<string, { label: string; value: string }>>
  from?: string
  rows: readonly Row[]
}

const sourceVariable = (plugin: string): cog.Builder<dashboard.VariableModel> =>
  new dashboard.DatasourceVariableBuilder('ds')
    .label(plugin === PLUGIN ? 'Store' : 'Metrics')
    .description(
      plugin === PLUGIN
        ? "Weir's embedded store or a ClickHouse server"
        : 'Where /metrics of Weir is scraped',
    )
    .type(plugin)

/** The builder writes what a file needs but not what Grafana keeps as the choice: All. */
const choice = (name: VariableName, offered: readonly VariableName[]): cog.Builder<dashboard.VariableModel> =>
  new dashboard.QueryVariableBuilder(name)
    .label(VARIABLES[name].label)
    .datasource(SOURCE)
    .query({ refId: name, queryType: 'sql', editorType: 'sql', rawSql: flat(variableSql(name, offered)) })
    .definition(flat(variableSql(name, offered)))
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.Disabled)
    .multi(true)
    .includeAll(true)
    .current({ selected: true, text: ['All'], value: ['$__all'] })

/** The board as Grafana reads it from a file; panels are numbered in reading order, so that links to them stay. */
export function build(board: Board): dashboard.Dashboard {
  const made = new dashboard.DashboardBuilder(board.title)
    .uid(board.uid)
    .description(board.description)
    .tags(['weir'])
    .timezone('browser')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .time({ from: board.from ?? 'now-24h', to: 'now' })
    .refresh('1m')
    .link(
      new dashboard.DashboardLinkBuilder('Weir')
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags(['weir'])
        .asDropdown(true)
        .includeVars(true)
        .keepTime(true),
    )
    .withVariable(sourceVariable(board.plugin ?? PLUGIN))
  for (const name of board.variables) made.withVariable(choice(name, board.variables))
  for (const [name, { label, value }] of Object.entries(board.texts ?? {}))
    made.withVariable(
      new dashboard.TextBoxVariableBuilder(name)
        .label(label)
        .defaultValue(value)
        .current({ selected: true, text: value, value }),
    )
  for (const { name, color, sql, shown } of board.plugin === undefined ? ANNOTATIONS : [])
    made.annotation(
      new dashboard.AnnotationQueryBuilder()
        .name(name)
        .datasource(SOURCE)
        .enable(shown)
        .iconColor(color)
        .target(query('annotation', sql, 'table') as unknown as cog.Builder<cog.Dataquery>),
    )
  for (const row of board.rows) {
    made.withRow(new dashboard.RowBuilder(row.title))
    for (const panel of row.panels) made.withPanel(panel)
  }
  const whole = made.build()
  whole.panels?.forEach((panel, i) => {
    panel.id = i + 1
  })
  return whole
}
