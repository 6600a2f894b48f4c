/** PagerDuty, Events API v2: one event an alert; trigger and resolve share the dedup_key, which is the alert's fingerprint. */
import type { Message, Told } from '../groups.ts'
import type { HttpRequest } from './request.ts'

const SUMMARY_MAX = 1024
const LINKS_MAX = 5

const isLink = (url: string | undefined): url is string => url !== undefined && /^https?:\/\//.test(url)

export function pagerdutyRequests(
  { url, routing_key }: { url: string; routing_key: string },
  message: Message,
  alerts: readonly Told[],
  source: string,
  console_url: string,
): HttpRequest[] {
  return alerts.map((alert) => {
    const { labels, annotations, severity } = alert
    const { summary = '', panel, runbook, trace, ...details } = annotations
    const links = [
      ['Panel', panel],
      ['Runbook', runbook],
      ['Trace', trace],
    ] as const
    const event =
      alert.status === 'resolved'
        ? { event_action: 'resolve' }
        : {
            event_action: 'trigger',
            client: 'Weir',
            ...(isLink(console_url) ? { client_url: console_url } : {}),
            payload: {
              summary: `${labels.alertname ?? ''}: ${summary}`.slice(0, SUMMARY_MAX),
              source: source || 'weir',
              severity: ['critical', 'error', 'warning', 'info'].includes(severity) ? severity : 'warning',
              timestamp: new Date(alert.starts_ms).toISOString(),
              component: labels.server ?? 'weir',
              class: labels.alertname ?? '',
              custom_details: { ...labels, ...details, value: alert.value, runbook: runbook ?? '' },
            },
            links: links
              .flatMap(([text, href]) => (isLink(href) ? [{ href, text }] : []))
              .slice(0, LINKS_MAX),
          }
    const body = JSON.stringify({ routing_key, dedup_key: alert.fingerprint, ...event })
    return { url, headers: { 'content-type': 'application/json', 'idempotency-key': message.key }, body }
  })
}
