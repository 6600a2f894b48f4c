/**
 * Panels and boards as the house draws them: every one with a title, what it means, a unit, a word for "nothing there" and
 * links to the next question. Boards say what to ask; how it looks is decided here.
 */
import type * as cog from '@grafana/grafana-foundation-sdk/cog'
import * as common from '@grafana/grafana-foundation-sdk/common'
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard'
import * as heatmaps from '@grafana/grafana-foundation-sdk/heatmap'
import * as nodegraph from '@grafana/grafana-foundation-sdk/nodegraph'
import * as stats from '@grafana/grafana-foundation-sdk/stat'
import * as tables from '@grafana/grafana-foundation-sdk/table'
import * as text from '@grafana/grafana-foundation-sdk/text'
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries'
import { query, type Shape, SOURCE } from './query.ts'

export type Link = { title: string; url: string }
export type Panel = cog.Builder<dashboard.Panel>
/** Bounds from which a figure is a warning, and bad. */
export type Bounds = { warn: number; bad: number }

type Asked = {
  title: string
  /** What the figure means, from what, and how fresh. */
  description: string
  /** One question, or several: A, B, ... */
  sql: string | readonly string[]
  /** Who is asked and in which words: the store in SQL unless said otherwise. */
  source?: { type: string; uid: string }
  ask?: (refId: string, question: string, shape: Shape) => cog.Builder<cog.Dataquery>
  /** Grafana's id of the unit of all fields without their own. */
  unit?: string
  decimals?: number
  /** Said when there are no rows. */
  none?: string
  bounds?: Bounds
  links?: readonly Link[]
  /** Width of 24, height in rows of the grid. */
  w?: number
  h?: number
}

const link = ({ title, url }: Link): cog.Builder<dashboard.DashboardLink> =>
  new dashboard.DashboardLinkBuilder(title).type(dashboard.DashboardLinkType.Link).url(url)

/** A place on another board, with the choices made here. */
export const to = (uid: string, more = ''): string =>
  `/d/${uid}?\${__url_time_range}&var-ds=\${ds:queryparam}${more}`.replace(
    'var-ds=${ds:queryparam}',
    '${ds:queryparam}',
  )

/** From a row with trace_id, link_from and link_to to its waterfall. */
export const TRACE_LINK: Link = {
  title: 'Show trace ${__data.fields.trace_id}',
  url: '/d/weir-trace?${ds:queryparam}&var-trace_id=${__data.fields.trace_id}&from=${__data.fields.link_from}&to=${__data.fields.link_to}',
}
export const TOOL_LINK: Link = {
  title: 'Show ${__data.fields.server} ${__data.fields.tool}',
  url: '/d/weir-tools?${__url_time_range}&${ds:queryparam}&var-server=${__data.fields.server}&var-tool=${__data.fields.tool}',
}

const steps = (bounds: Bounds | undefined): dashboard.ThresholdsConfigBuilder =>
  new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps(
    bounds
      ? [
          { value: null, color: 'green' },
          { value: bounds.warn, color: 'orange' },
          { value: bounds.bad, color: 'red' },
        ]
      : [{ value: null, color: 'blue' }],
  )

/** What the builders of all kinds of panels have in common. */
type Base<B> = dashboard.PanelBuilder & B
function base<B>(made: B, asked: Asked, shape: Shape, size: { w: number; h: number }): B {
  const panel = made as Base<B>
  panel
    .title(asked.title)
    .description(asked.description)
    .datasource(asked.source ?? SOURCE)
    .span(asked.w ?? size.w)
    .height(asked.h ?? size.h)
    .noValue(asked.none ?? 'nothing in this range')
    .thresholds(steps(asked.bounds))
  if (asked.unit !== undefined) panel.unit(asked.unit)
  if (asked.decimals !== undefined) panel.decimals(asked.decimals)
  if (asked.links) panel.dataLinks(asked.links.map(link))
  const questions = typeof asked.sql === 'string' ? [asked.sql] : asked.sql
  questions.forEach((sql, i) => {
    panel.withTarget((asked.ask ?? query)('ABCDEF'.charAt(i), sql, shape))
  })
  return made
}

/** One figure of one row. */
export const stat = (asked: Asked): Panel =>
  base(new stats.PanelBuilder(), asked, 'table', { w: 4, h: 4 })
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(asked.bounds ? common.BigValueColorMode.Background : common.BigValueColorMode.Value)
    .textMode(common.BigValueTextMode.Auto)

/** Lines over time: columns `time`, a number, and at most one text that names the line. */
export function series(
  asked: Asked & { stacked?: boolean; named?: boolean; dots?: boolean; step?: string; max?: number },
): Panel {
  const panel = base(new timeseries.PanelBuilder(), asked, 'series', { w: 12, h: 8 })
    .lineWidth(1)
    .fillOpacity(asked.stacked ? 40 : 8)
    .showPoints(common.VisibilityMode.Auto)
    .spanNulls(false)
    .min(0)
    .interval(asked.step ?? '5m')
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.Table)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder()
        .mode(common.TooltipDisplayMode.Multi)
        .sort(common.SortOrder.Descending),
    )
  if (asked.named) panel.displayName('${__field.labels.name}')
  if (asked.max !== undefined) panel.max(asked.max)
  if (asked.stacked)
    panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group('A'))
  if (asked.bounds)
    panel.thresholdsStyle(
      new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed),
    )
  // The last question draws single calls: dots that lead to their trace, what exemplars are elsewhere.
  if (asked.dots)
    panel.overrideByQuery('ABCDEF'.charAt((asked.sql as readonly string[]).length - 1), [
      { id: 'custom.drawStyle', value: 'points' },
      { id: 'custom.pointSize', value: 7 },
      { id: 'displayName', value: 'slow call ${__field.labels.name}' },
      { id: 'custom.hideFrom', value: { legend: true, tooltip: false, viz: false } },
      {
        id: 'links',
        value: [
          {
            title: 'Show trace ${__field.labels.trace_id}',
            url: '/d/weir-trace?${__url_time_range}&${ds:queryparam}&var-trace_id=${__field.labels.trace_id}',
          },
        ],
      },
    ])
  return panel
}

/** Units and links of single columns; hidden ones serve links alone. */
export type Columns = Record<string, { unit?: string; link?: Link; hidden?: boolean; gauge?: boolean }>

export function table(asked: Asked & { columns?: Columns }): Panel {
  const panel = base(new tables.PanelBuilder(), asked, 'table', { w: 12, h: 9 })
    .showHeader(true)
    .filterable(true)
    .cellHeight(common.TableCellHeight.Sm)
  for (const [name, column] of Object.entries({
    link_from: { hidden: true },
    link_to: { hidden: true },
    ...asked.columns,
  } as Columns))
    panel.overrideByName(name, [
      ...(column.unit ? [{ id: 'unit', value: column.unit }] : []),
      ...(column.hidden ? [{ id: 'custom.hidden', value: true }] : []),
      ...(column.link ? [{ id: 'links', value: [column.link] }] : []),
      ...(column.gauge ? [{ id: 'custom.cellOptions', value: { type: 'gauge', mode: 'basic' } }] : []),
    ])
  return panel
}

/** Calls by time and a bucket of the figure: columns `time`, `le` (upper bound as text), a number. */
export const heatmap = (asked: Asked): Panel =>
  base(new heatmaps.PanelBuilder(), asked, 'series', { w: 12, h: 8 })
    .calculate(false)
    .interval('5m')
    .displayName('${__field.labels.le}')
    .yAxis(new heatmaps.YAxisConfigBuilder().unit(asked.unit ?? 's'))
    .cellGap(1)

/** Nodes first, then edges: columns id, title, mainstat and id, source, target, mainstat. */
export const graph = (asked: Asked): Panel =>
  base(new nodegraph.PanelBuilder(), asked, 'table', { w: 12, h: 10 })

/** The waterfall. The SDK has no builder of it, so the plain one is told its type. */
export const waterfall = (asked: Asked): Panel =>
  base(new dashboard.PanelBuilder().type('traces'), asked, 'traces', { w: 24, h: 14 })

export const note = (title: string, markdown: string, w = 24, h = 3): Panel =>
  new text.PanelBuilder()
    .title(title)
    .description('How to read this board')
    .mode(text.TextMode.Markdown)
    .content(markdown)
    .span(w)
    .height(h)
