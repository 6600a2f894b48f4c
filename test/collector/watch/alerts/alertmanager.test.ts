/** Against the real Alertmanager of Debian: fires there, can be silenced there, goes on while it is sent again, and ends. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Message, Told } from '../../../../collector/watch/alerts/groups.ts'
import { targetOf } from '../../../../collector/watch/alerts/receivers/receivers.ts'
import { post } from '../../../../collector/watch/alerts/receivers/request.ts'
import { configSchema } from '../../../../config/schema.ts'
import { waitFor } from '../../../support/wait.ts'
import { scratchFolder } from '../../support/processes.ts'
import { type Alertmanager, HAS_ALERTMANAGER, type Seen, startAlertmanager } from './alertmanager.ts'
import { type Listener, listen } from './listener.ts'

const folder = scratchFolder()
let manager: Alertmanager
let hook: Listener

beforeAll(async () => {
  if (!HAS_ALERTMANAGER) return
  hook = await listen()
  manager = await startAlertmanager(folder.path, hook.url)
}, 60_000)
afterAll(async () => {
  await manager?.close()
  await hook?.close()
  folder.remove()
})

const alerts = (): Promise<Seen[]> => manager.alerts()
const target = () =>
  targetOf(
    configSchema.parse({ alerts: { to: [{ alertmanager: { url: manager.url, resend_s: 0.5 } }] } }).alerts
      .to[0]!,
    {
      instance: 'i',
      console_url: 'https://c.example',
    },
  )
const told = (more: Partial<Told>): Told => ({
  status: 'firing',
  fingerprint: 'f',
  labels: { alertname: 'Slow', severity: 'critical', server: 'bank' },
  annotations: { summary: 'slow', panel: 'https://c.example/tools?server=bank' },
  severity: 'critical',
  value: 1,
  starts_ms: Date.now() - 1000,
  ends_ms: 0,
  ...more,
})
const message = (told: Told[]): Message => ({
  key: 'k',
  receiver: 'alertmanager',
  group_key: '{}',
  group_labels: {},
  reason: 'news',
  alerts: told,
  firing: [],
  resolved: [],
})
const send = async (told: Told[]): Promise<void> => {
  for (const request of target().requests(message(told), Date.now()))
    expect(await post(request, 5_000, Date.now())).toMatchObject({ result: 'sent' })
}
const hooked = (status: string, name: string): boolean =>
  hook.got.some(({ body }) =>
    (JSON.parse(body) as { alerts: { status: string; labels: Record<string, string> }[] }).alerts.some(
      (a) => a.status === status && a.labels.alertname === name,
    ),
  )

describe.skipIf(!HAS_ALERTMANAGER)('Alertmanager', () => {
  test('what fires appears with labels and link, and what ends is told as ended', async () => {
    await send([told({})])
    const [seen] = await waitFor('it is there', async () => (await alerts()).length === 1 && alerts())
    expect(seen).toMatchObject({
      labels: { alertname: 'Slow', server: 'bank', severity: 'critical' },
      annotations: { summary: 'slow' },
      generatorURL: 'https://c.example/tools?server=bank',
    })
    await waitFor('it is told', () => hooked('firing', 'Slow'))
    await send([told({ status: 'resolved', ends_ms: Date.now() })])
    await waitFor('its end is told', () => hooked('resolved', 'Slow'))
    expect((await alerts()).filter((a) => a.labels.alertname === 'Slow')).toEqual([])
  })

  test('sent again and again it stays; when the sender is gone it ends by itself', async () => {
    const labels = { alertname: 'Stays' }
    const first = told({ labels })
    await send([first])
    const [one] = await waitFor('it is there', async () =>
      (await alerts()).filter((a) => a.labels.alertname === 'Stays'),
    )
    for (const request of target().resend([first], Date.now())) await post(request, 5_000, Date.now())
    const [two] = (await alerts()).filter((a) => a.labels.alertname === 'Stays')
    expect(Date.parse(two!.endsAt)).toBeGreaterThan(Date.parse(one!.endsAt))
    await waitFor('nobody sends it any more', () => hooked('resolved', 'Stays'))
  })

  test('it can be silenced there', async () => {
    const labels = { alertname: 'Quiet' }
    const response = await fetch(`${manager.url}/api/v2/silences`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        matchers: [{ name: 'alertname', value: 'Quiet', isRegex: false, isEqual: true }],
        startsAt: new Date().toISOString(),
        endsAt: new Date(Date.now() + 3_600_000).toISOString(),
        createdBy: 'test',
        comment: 'test',
      }),
    })
    const { silenceID } = (await response.json()) as { silenceID: string }
    await send([told({ labels })])
    const [seen] = await waitFor('it is silenced', async () =>
      (await alerts()).filter((a) => a.status.silencedBy.includes(silenceID)),
    )
    expect(seen!.status.state).toBe('suppressed')
    expect(hooked('firing', 'Quiet')).toBe(false)
  })
})
