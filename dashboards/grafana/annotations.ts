/** What is drawn on the time axis of every board: what was changed, what was found, what was called out. */

type Annotation = {
  readonly name: string
  readonly color: string
  /** Whether it is on when the board opens. */
  readonly shown: boolean
  /** Columns time, timeEnd (when it lasted), title, text, tags (separated by commas). */
  readonly sql: string
}

const CHANGED = (kinds: readonly string[]): string => `
  SELECT ts AS time, title, detail AS text, concat(kind, if(server = '', '', concat(',', server)), if(tool = '', '', concat(',', tool))) AS tags
  FROM annotations FINAL WHERE $__timeFilter_ms(ts) AND kind IN (${kinds.map((kind) => `'${kind}'`).join(', ')})
  ORDER BY time LIMIT 500`

export const ANNOTATIONS: readonly Annotation[] = [
  { name: 'Deploys', color: 'blue', shown: true, sql: CHANGED(['deploy']) },
  { name: 'Config', color: 'purple', shown: true, sql: CHANGED(['config', 'prices']) },
  { name: 'Access', color: 'green', shown: true, sql: CHANGED(['access']) },
  {
    name: 'Tool definitions',
    color: 'yellow',
    shown: true,
    sql: `
      SELECT ts AS time, concat(server, ' ', tool, ' changed') AS title,
        concat('The definition of ', tool, ' is another than before: ', hash) AS text, concat('tool_definition,', server, ',', tool) AS tags
      FROM v_tool_changes WHERE $__timeFilter_ms(ts) ORDER BY time LIMIT 500`,
  },
  {
    name: 'Anomalies',
    color: 'orange',
    shown: true,
    sql: `
      SELECT started AS time, if(is_open, now('UTC'), ended) AS timeEnd, concat(kind, ': ', series) AS title, summary AS text,
        concat('anomaly,', kind) AS tags
      FROM v_anomalies WHERE $__timeFilter(started) ORDER BY time LIMIT 500`,
  },
  {
    name: 'Alerts',
    color: 'red',
    shown: true,
    sql: `
      SELECT ts AS time, rule AS title, concat(severity, ': ', annotations['summary']) AS text, concat('alert,', severity) AS tags
      FROM alert_events WHERE $__timeFilter_ms(ts) AND to_state = 'firing' AND from_state != 'firing' ORDER BY time LIMIT 500`,
  },
]
