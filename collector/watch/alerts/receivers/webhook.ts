/** Any HTTP endpoint: the JSON of Alertmanager's webhooks, version 4, signed when there is a key. See docs/alerts.md. */
import { createHmac } from 'node:crypto'
import type { Message, Told } from '../groups.ts'
import type { HttpRequest } from './request.ts'

/** Alerts in one message; the rest is counted in `truncatedAlerts`. */
const ALERTS_MAX = 100
const NEVER = '0001-01-01T00:00:00Z'

const iso = (ms: number): string => new Date(ms).toISOString()

/** What all of them agree in. */
function common(all: readonly Readonly<Record<string, string>>[]): Record<string, string> {
  const [first = {}, ...rest] = all
  return Object.fromEntries(
    Object.entries(first).filter(([name, value]) => rest.every((texts) => texts[name] === value)),
  )
}

const alertJson = (alert: Told): object => ({
  status: alert.status,
  labels: alert.labels,
  annotations: alert.annotations,
  startsAt: iso(alert.starts_ms),
  endsAt: alert.status === 'resolved' ? iso(alert.ends_ms) : NEVER,
  generatorURL: alert.annotations.panel ?? '',
  fingerprint: alert.fingerprint,
})

/** `t=<seconds>,v1=<hex>`: HMAC-SHA256 over `<seconds>.<body>`. */
export const signature = (secret: string, body: string, now_ms: number): string => {
  const t = Math.floor(now_ms / 1000)
  return `t=${t},v1=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`
}

export function webhookRequests(
  { url, hmac_secret }: { url: string; hmac_secret?: string | undefined },
  message: Message,
  alerts: readonly Told[],
  console_url: string,
  now_ms: number,
): HttpRequest[] {
  const shown = alerts.slice(0, ALERTS_MAX)
  const body = JSON.stringify({
    version: '4',
    groupKey: `${message.receiver}:${message.group_key}`,
    truncatedAlerts: alerts.length - shown.length,
    status: alerts.some((alert) => alert.status === 'firing') ? 'firing' : 'resolved',
    receiver: message.receiver,
    groupLabels: message.group_labels,
    commonLabels: common(alerts.map((alert) => alert.labels)),
    commonAnnotations: common(alerts.map((alert) => alert.annotations)),
    externalURL: console_url,
    notification_reason: message.reason,
    alerts: shown.map(alertJson),
  })
  const signed = hmac_secret === undefined ? {} : { 'weir-signature': signature(hmac_secret, body, now_ms) }
  return [
    { url, headers: { 'content-type': 'application/json', 'idempotency-key': message.key, ...signed }, body },
  ]
}
