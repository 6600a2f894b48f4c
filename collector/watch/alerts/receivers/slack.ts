/**
 * Slack, incoming webhook. Names come from servers and may be anything: they stand in plain text only, with `<>&` escaped and
 * nothing that calls people; markup is ours alone.
 */
import type { Message, Told } from '../groups.ts'
import type { HttpRequest } from './request.ts'

/** Alerts shown; Slack takes 50 blocks. */
const ALERTS_MAX = 15
const TEXT_MAX = 1_500

const SIGN: Readonly<Record<string, string>> = { critical: '🔴', error: '🟠', warning: '🟡', info: '🔵' }

/** Text that is nothing but text: no links, mentions or entities. A zero-width space takes the meaning of @here. */
export const escapeText = (text: string, max = TEXT_MAX): string =>
  text
    .slice(0, max)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/@(?=here|channel|everyone)/gi, '@\u200b')

const isLink = (url: string | undefined): url is string =>
  url !== undefined && /^https?:\/\/[^\s<>|"]+$/.test(url)

/** Only where a link leads can be a link; a path of the repository stands as it is. */
function links({ annotations }: Told): string {
  const named = [
    ['Panel', annotations.panel],
    ['Runbook', annotations.runbook],
    ['Trace', annotations.trace],
  ] as const
  return named
    .flatMap(([name, url]) => (isLink(url) ? [`<${escapeText(url, 2_900)}|${name}>`] : []))
    .join(' · ')
}

function blocksOf(alert: Told): object[] {
  const sign = alert.status === 'resolved' ? '✅' : (SIGN[alert.severity] ?? '')
  const name = `${alert.labels.alertname ?? ''} ${alert.status}`
  const summary = alert.annotations.summary ?? ''
  const text = links(alert)
  return [
    {
      type: 'section',
      text: { type: 'plain_text', text: escapeText(`${sign} ${name}: ${summary}`), emoji: false },
    },
    ...(text === '' ? [] : [{ type: 'context', elements: [{ type: 'mrkdwn', text, verbatim: true }] }]),
  ]
}

export function slackRequests(
  { url }: { url: string },
  message: Message,
  alerts: readonly Told[],
): HttpRequest[] {
  const firing = alerts.filter((alert) => alert.status === 'firing').length
  const shown = alerts.slice(0, ALERTS_MAX)
  const more = alerts.length - shown.length
  const first = alerts[0]?.annotations.summary ?? ''
  const head = `${firing} firing, ${alerts.length - firing} resolved: ${first}`
  const body = JSON.stringify({
    text: escapeText(head, 500),
    mrkdwn: false,
    link_names: false,
    unfurl_links: false,
    unfurl_media: false,
    blocks: [
      ...shown.flatMap(blocksOf),
      ...(more > 0
        ? [{ type: 'section', text: { type: 'plain_text', text: `… and ${more} more`, emoji: false } }]
        : []),
    ],
  })
  return [{ url, headers: { 'content-type': 'application/json', 'idempotency-key': message.key }, body }]
}
