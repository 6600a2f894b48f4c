/** What was changed in the configuration, by whom, newest first. */
import { moment, type Reader } from './client.ts'

export type ConfigChangeRow = {
  at_ms: number
  instance: string
  /** '' when the file was edited without Weir. */
  who: string
  via: string
  section: string
  name: string
  action: 'added' | 'removed' | 'changed'
  /** JSON without secrets, or a fingerprint; '' for nothing. */
  before: string
  after: string
}

export const sql = `SELECT toUnixTimestamp64Milli(c.ts) AS at_ms, c.instance AS instance, c.who AS who, c.via AS via, c.section AS section, c.name AS name,
  c.action AS action, c.before AS before, c.after AS after
FROM v_config_changes AS c
WHERE c.ts >= {from:DateTime64(3)} AND c.ts < {to:DateTime64(3)} AND ({section:String} = '' OR c.section = {section:String})
ORDER BY c.ts DESC, c.section, c.name LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  {
    from_ms,
    to_ms,
    section = '',
    limit = 500,
  }: { from_ms: number; to_ms: number; section?: string; limit?: number },
): Promise<ConfigChangeRow[]> =>
  reader.rows(sql, { from: moment(from_ms), to: moment(to_ms), section, limit })
