/** Says once a period that a share of a quota or of money is reached. */
import type { Log } from '../../event/log.ts'
import type { Bucket, Now } from '../../limits/bucket.ts'
import { inWords } from '../../limits/words.ts'
import type { Metrics } from '../../proxy/telemetry/metrics.ts'

export function tellWarnings(
  windows: Iterable<[key: string, bucket: Bucket]>,
  now: Now,
  metrics: Metrics,
  log: Log,
): void {
  for (const [key, bucket] of windows) {
    const { entry, capacity } = bucket
    const of = key.split('\n').slice(1).join(', ')
    const share = bucket.taken(now) / capacity
    metrics.set('weir_limit_used_ratio', share, [entry.name, of])
    const reached = Math.max(0, ...entry.warn_at.filter((at) => share >= at))
    if (reached <= bucket.warned) continue
    bucket.warned = reached
    metrics.add('weir_limit_warnings_total', 1, [entry.name, String(reached)])
    log.warn(`limit ${entry.name}: ${Math.round(reached * 100)} % reached`, {
      of,
      allowed: inWords(entry),
      mode: entry.mode,
    })
  }
}
