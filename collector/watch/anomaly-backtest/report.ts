/** The table of a backtest, for people and for files. Pure. */
import type { Line } from './score.ts'

export type Report = {
  source: string
  seed: number
  sensitivity: string
  took_s: number
  series: Line[]
  events: Line[]
}

const HEADS = [
  'fault',
  'injected',
  'recall',
  'recall with traffic',
  'findings',
  'false',
  'precision',
  'delay',
]
const percent = (share: number): string => `${Math.round(share * 100)} %`

const cells = (line: Line): string[] => [
  line.fault,
  String(line.injected),
  `${percent(line.recall)} (${line.found})`,
  `${percent(line.judgeable ? line.judgeable_found / line.judgeable : 0)} (${line.judgeable_found} of ${line.judgeable})`,
  String(line.findings),
  String(line.false_findings),
  percent(line.precision),
  line.delay_min === null ? '' : `${Math.round(line.delay_min)} min`,
]

export function tableOf(lines: readonly Line[]): string[] {
  const rows = [HEADS, ...lines.map(cells)]
  const widths = HEADS.map((_, i) => Math.max(...rows.map((r) => r[i]!.length)))
  return rows.map((r) =>
    r
      .map((c, i) => (i === 0 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  )
}

const markdownTable = (lines: readonly Line[]): string =>
  [HEADS, HEADS.map(() => '---'), ...lines.map(cells)].map((r) => `| ${r.join(' | ')} |`).join('\n')

export const markdown = ({
  source,
  seed,
  sensitivity,
  took_s,
  series,
  events,
}: Report): string => `# Backtest of the anomaly detectors

Made by \`weir anomalies backtest\`: ${source}, seed ${seed}, sensitivity ${sensitivity}, ${Math.round(took_s)} s.
"With traffic": faults where the series has at least 20 calls in 15 minutes; below that only plain or lasting changes can be told.
Delay: from the first second of the fault to the finding, with the five minutes of a bucket and the lag after it.

## Series: latency, errors, volume, cost, result size

${markdownTable(series)}
${events.length > 0 ? `\n## Single calls\n\n${markdownTable(events)}\n` : ''}`
