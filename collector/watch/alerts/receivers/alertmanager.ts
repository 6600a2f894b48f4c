/**
 * Alertmanager, API v2. It takes states, not news: what fires is sent again and again with an end a while ahead, so an alert ends
 * there too when the one who sends it is gone. It groups, silences and repeats by itself.
 */
import type { Told } from '../groups.ts'
import type { HttpRequest } from './request.ts'

/** Alerts in one request. */
const CHUNK = 200
/** How many re-sends may fail before the alert ends over there. */
const MISSED = 4

const iso = (ms: number): string => new Date(ms).toISOString()
/** Label names are letters, digits and _. */
const nameOf = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_]/g, '_')
const named = (texts: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(texts).map(([name, value]) => [nameOf(name), value]))

export function alertmanagerRequests(
  { url, resend_s }: { url: string; resend_s: number },
  alerts: readonly Told[],
  key: string,
  now_ms: number,
): HttpRequest[] {
  const target = `${url.replace(/\/$/, '')}/api/v2/alerts`
  const chunks = Array.from({ length: Math.ceil(alerts.length / CHUNK) }, (_, i) =>
    alerts.slice(i * CHUNK, (i + 1) * CHUNK),
  )
  return chunks.map((chunk) => ({
    url: target,
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(
      chunk.map((alert) => {
        const { panel, ...annotations } = alert.annotations
        return {
          labels: named(alert.labels),
          annotations: named({ ...annotations, ...(panel ? { panel } : {}) }),
          startsAt: iso(alert.starts_ms),
          endsAt: iso(
            alert.status === 'resolved' ? alert.ends_ms : now_ms + MISSED * Math.max(1, resend_s) * 1000,
          ),
          ...(panel?.startsWith('http') ? { generatorURL: panel } : {}),
        }
      }),
    ),
  }))
}
