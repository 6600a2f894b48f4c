import { createHmac } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Message, Told } from '../../../../collector/watch/alerts/groups.ts'
import { targetOf } from '../../../../collector/watch/alerts/receivers/receivers.ts'
import { post, retryAfter } from '../../../../collector/watch/alerts/receivers/request.ts'
import type { ReceiverConfig } from '../../../../config/alerts.ts'
import { configSchema } from '../../../../config/schema.ts'
import { type Got, type Listener, listen } from './listener.ts'

let listener: Listener
beforeEach(async () => {
  listener = await listen()
})
afterEach(() => listener.close())

const NOW = Date.parse('2026-11-21T10:00:00Z')
const told = (more: Partial<Told> = {}): Told => ({
  status: 'firing',
  fingerprint: 'f1',
  labels: { alertname: 'Slow', severity: 'critical', server: 'bank' },
  annotations: {
    summary: 'bank is slow',
    panel: 'https://c.example/tools?server=bank',
    runbook: 'dashboards/runbook.md#slow',
    evidence: 'SELECT 1',
    trace: 'https://c.example/trace/t1',
  },
  severity: 'critical',
  value: 7,
  starts_ms: NOW - 60_000,
  ends_ms: 0,
  ...more,
})
const resolved = (more: Partial<Told> = {}): Told =>
  told({ status: 'resolved', ends_ms: NOW - 1000, ...more })
const message = (alerts: Told[]): Message => ({
  key: 'key-1',
  receiver: 'r',
  group_key: '{"alertname":"Slow"}',
  group_labels: { alertname: 'Slow' },
  reason: 'news',
  alerts,
  firing: [],
  resolved: [],
})

async function deliver(
  receiver: Record<string, unknown>,
  alerts: Told[],
): Promise<{ got: Got; json: Record<string, never> }[]> {
  const config = configSchema.parse({ alerts: { to: [receiver] } }).alerts.to[0] as ReceiverConfig
  const target = targetOf(config, { instance: 'host-1', console_url: 'https://c.example' })
  for (const request of target.requests(message(alerts), NOW))
    expect(await post(request, 5_000, NOW)).toMatchObject({ result: 'sent', http_status: 200 })
  return listener.got.map((got) => ({ got, json: JSON.parse(got.body) as Record<string, never> }))
}

test('webhook: the JSON of Alertmanager, version 4, with a signature that can be verified', async () => {
  const hmac_secret = 'a-secret-of-some-length'
  const [sent] = await deliver({ webhook: { url: `${listener.url}/hook`, hmac_secret } }, [
    told(),
    resolved({ fingerprint: 'f2', labels: { alertname: 'Slow', server: 'files' } }),
  ])
  expect(sent!.json).toEqual({
    version: '4',
    groupKey: 'r:{"alertname":"Slow"}',
    truncatedAlerts: 0,
    status: 'firing',
    receiver: 'r',
    groupLabels: { alertname: 'Slow' },
    commonLabels: { alertname: 'Slow' },
    commonAnnotations: told().annotations,
    externalURL: 'https://c.example',
    notification_reason: 'news',
    alerts: [
      {
        status: 'firing',
        labels: told().labels,
        annotations: told().annotations,
        startsAt: '2026-11-21T09:59:00.000Z',
        endsAt: '0001-01-01T00:00:00Z',
        generatorURL: 'https://c.example/tools?server=bank',
        fingerprint: 'f1',
      },
      {
        status: 'resolved',
        labels: { alertname: 'Slow', server: 'files' },
        annotations: told().annotations,
        startsAt: '2026-11-21T09:59:00.000Z',
        endsAt: '2026-11-21T09:59:59.000Z',
        generatorURL: 'https://c.example/tools?server=bank',
        fingerprint: 'f2',
      },
    ],
  })
  expect(sent!.got.headers['idempotency-key']).toBe('key-1')
  const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(sent!.got.headers['weir-signature'])) ?? []
  expect(Number(t)).toBe(NOW / 1000)
  expect(v1).toBe(createHmac('sha256', hmac_secret).update(`${t}.${sent!.got.body}`).digest('hex'))
})

test('webhook: a flood is cut, and says by how much', async () => {
  const many = Array.from({ length: 250 }, (_, i) => told({ fingerprint: `f${i}` }))
  const [sent] = await deliver({ webhook: { url: listener.url } }, many)
  expect(sent!.json).toMatchObject({ truncatedAlerts: 150 })
  expect((sent!.json.alerts as unknown as unknown[]).length).toBe(100)
  expect(sent!.got.headers['weir-signature']).toBeUndefined()
})

test('Slack: what servers call themselves is text and nothing else', async () => {
  const evil = '<!here> @channel <https://evil.example|click> *bold* & `code`'
  const [sent] = await deliver({ slack: { url: listener.url } }, [
    told({
      annotations: {
        summary: evil,
        panel: 'https://c.example/tools?a=1&b=2',
        runbook: 'dashboards/runbook.md#x',
        trace: 'https://c.example/x|<!here>',
      },
    }),
  ])
  const json = sent!.json as unknown as {
    text: string
    mrkdwn: boolean
    link_names: boolean
    blocks: {
      type: string
      text?: { type: string; text: string }
      elements?: { type: string; text: string }[]
    }[]
  }
  expect(json).toMatchObject({ mrkdwn: false, link_names: false, unfurl_links: false })
  const texts = [json.text, ...json.blocks.flatMap((b) => (b.text ? [b.text.text] : []))]
  for (const text of texts) {
    expect(text).toContain('&lt;!here&gt;')
    expect(text).not.toMatch(/[<>]|@(here|channel)/)
  }
  expect(json.blocks.filter((b) => b.text).every((b) => b.text!.type === 'plain_text')).toBe(true)
  // Links are ours, to where links lead: the heading in the repository is none, and neither is what is no URL.
  expect(json.blocks.flatMap((b) => b.elements ?? []).map((e) => e.text)).toEqual([
    '<https://c.example/tools?a=1&amp;b=2|Panel>',
  ])
})

test('Slack: a flood stays within fifty blocks', async () => {
  const [sent] = await deliver(
    { slack: { url: listener.url } },
    Array.from({ length: 200 }, () => told()),
  )
  expect((sent!.json.blocks as unknown as unknown[]).length).toBeLessThanOrEqual(50)
  expect(sent!.got.body).toContain('… and 185 more')
})

test('PagerDuty: one event an alert, trigger and resolve under one key', async () => {
  const receiver = { pagerduty: { routing_key: 'routing-key-1', url: listener.url } }
  const sent = await deliver(receiver, [
    told({ annotations: { ...told().annotations, summary: 'x'.repeat(3000) } }),
    resolved(),
  ])
  const [trigger, resolve] = sent.map(
    (s) =>
      s.json as unknown as {
        event_action: string
        dedup_key: string
        payload: { summary: string; severity: string; source: string; custom_details: object }
        links: { href: string }[]
      },
  )
  expect(trigger).toMatchObject({
    routing_key: 'routing-key-1',
    event_action: 'trigger',
    dedup_key: 'f1',
    client: 'Weir',
    payload: { severity: 'critical', source: 'host-1', component: 'bank', class: 'Slow' },
  })
  expect(trigger!.payload.summary.length).toBe(1024)
  expect(trigger!.payload.custom_details).toMatchObject({
    evidence: 'SELECT 1',
    runbook: 'dashboards/runbook.md#slow',
    server: 'bank',
  })
  expect(trigger!.links.map((l) => l.href)).toEqual([
    'https://c.example/tools?server=bank',
    'https://c.example/trace/t1',
  ])
  expect(resolve).toEqual({ routing_key: 'routing-key-1', event_action: 'resolve', dedup_key: 'f1' })
})

test('who does not want to hear of ends hears none', async () => {
  expect(await deliver({ slack: { url: listener.url }, send_resolved: false }, [resolved()])).toEqual([])
})

test('an answer means: sent, come again, or never', async () => {
  const request = {
    url: `${listener.url}/secret-path`,
    headers: { authorization: 'secret-header' },
    body: '{}',
  }
  const answers: [Listener['next'][number], object][] = [
    [{ status: 204 }, { result: 'sent' }],
    [{ status: 400 }, { result: 'refused', error: 'HTTP 400' }],
    [{ status: 404 }, { result: 'refused' }],
    [{ status: 500 }, { result: 'retry', retry_after_ms: 0 }],
    [
      { status: 429, headers: { 'retry-after': '7' } },
      { result: 'retry', retry_after_ms: 7000 },
    ],
    [
      { status: 503, headers: { 'retry-after': 'Sat, 21 Nov 2026 10:00:30 GMT' } },
      { result: 'retry', retry_after_ms: 30_000 },
    ],
    [
      { status: 503, headers: { 'retry-after': '999999999' } },
      { result: 'retry', retry_after_ms: 3_600_000 },
    ],
    ['drop', { result: 'retry', http_status: 0 }],
  ]
  for (const [answer, expected] of answers) {
    listener.next.push(answer)
    const outcome = await post(request, 5_000, NOW)
    expect(outcome).toMatchObject(expected)
    expect(JSON.stringify(outcome)).not.toContain('secret')
  }
  expect(retryAfter('soon', NOW)).toBe(0)
})

test('a redirect is not followed, wherever it leads', async () => {
  const other = await listen()
  try {
    listener.next.push({ status: 307, headers: { location: `${other.url}/stolen` } })
    expect(await post({ url: listener.url, headers: {}, body: '{}' }, 5_000, NOW)).toMatchObject({
      result: 'refused',
      http_status: 307,
    })
    expect(other.got).toEqual([])
  } finally {
    await other.close()
  }
})

test('a receiver that is not there, or never answers, is tried again', async () => {
  const { url } = listener
  await listener.close()
  expect(await post({ url, headers: {}, body: '' }, 5_000, NOW)).toMatchObject({
    result: 'retry',
    error: 'ECONNREFUSED',
  })
  listener = await listen()
})
