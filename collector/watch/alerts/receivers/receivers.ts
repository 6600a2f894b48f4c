/** Receivers of the config, ready: whom they want to hear of, and the requests that a message becomes. */
import { RECEIVER_KINDS, receiverName } from '../../../../config/alert-receivers.ts'
import type { ReceiverConfig } from '../../../../config/alerts.ts'
import { compileMatchers, parseMatcher } from '../../../../config/matchers.ts'
import type { Message, Receiver, Told } from '../groups.ts'
import { alertmanagerRequests } from './alertmanager.ts'
import { pagerdutyRequests } from './pagerduty.ts'
import type { HttpRequest } from './request.ts'
import { slackRequests } from './slack.ts'
import { webhookRequests } from './webhook.ts'

export type Target = Receiver & {
  readonly kind: (typeof RECEIVER_KINDS)[number]
  /** How often what fires is sent again; 0: the receiver remembers. */
  readonly resend_ms: number
  /** Rendered when it is sent, not when it is queued: an end a while ahead has to be ahead of now. */
  requests(message: Message, now_ms: number): HttpRequest[]
  /** What fires, as it stands. */
  resend(alerts: readonly Told[], now_ms: number): HttpRequest[]
}

export type About = { instance: string; console_url: string }

export function targetOf(config: ReceiverConfig, { instance, console_url }: About): Target {
  const { alertmanager, webhook, slack, pagerduty, send_resolved } = config
  const heard = ({ alerts }: Message): readonly Told[] =>
    send_resolved ? alerts : alerts.filter((alert) => alert.status === 'firing')
  const requests = (message: Message, now_ms: number): HttpRequest[] => {
    const alerts = heard(message)
    if (alerts.length === 0) return []
    if (alertmanager) return alertmanagerRequests(alertmanager, alerts, message.key, now_ms)
    if (webhook) return webhookRequests(webhook, message, alerts, console_url, now_ms)
    if (slack) return slackRequests(slack, message, alerts)
    if (pagerduty) return pagerdutyRequests(pagerduty, message, alerts, instance, console_url)
    return []
  }
  return {
    name: receiverName(config),
    kind: RECEIVER_KINDS.find((kind) => config[kind] !== undefined)!,
    unit: alertmanager ? 'changes' : pagerduty ? 'alert' : 'group',
    send_resolved,
    isMeant: compileMatchers(config.match.map(parseMatcher)),
    resend_ms: alertmanager ? alertmanager.resend_s * 1000 : 0,
    requests,
    resend: (alerts, now_ms) =>
      alertmanager ? alertmanagerRequests(alertmanager, alerts, `resend-${now_ms}`, now_ms) : [],
  }
}
