/** Against the real Alertmanager of Debian: fires there, can be silenced there, goes on while it is sent again, and ends. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Message, Told } from '../../../../collector/watch/alerts/groups.ts'
import { targetOf } from '../../../../collector/watch/alerts/receivers/receivers.ts'
import { post } from '../../../../collector/watch/alerts/receivers/request.ts'
import { configSchema } from '../../../../config/schema.ts'
import { stablePort } from '../../../support/ports.ts'
import { waitFor } from '../../../support/wait.ts'
import { scratchFolder } from '../../support/processes.ts'
import { type Listener, listen } from './listener.ts'

const PROGRAM = 'prometheus-alertmanager'
const isThere = spawnSync(PROGRAM, ['--version']).status === 0
if (!isThere) process.stderr.write(`skipped: there is no ${PROGRAM} here; apt-get install ${PROGRAM}\n`)

const folder = scratchFolder()
const url = `http://127.0.0.1:${stablePort()}`
let child: ChildProcess
let hook: Listener

beforeAll(async () => {
  if (!isThere) return
  hook = await listen()
  const config = join(folder.path, 'alertmanager.yml')
  writeFileSync(
    config,
    `route: { receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 200ms, repeat_interval: 1h }\nreceivers: [{ name: hook, webhook_configs: [{ url: "${hook.url}", send_resolved: true }] }]\n`,
  )
  child = spawn(
    PROGRAM,
    [
      `--config.file=${config}`,
      `--storage.path=${folder.path}/data`,
      `--web.listen-address=${new URL(url).host}`,
      '--cluster.listen-address=',
    ],
    { stdio: process.env.WEIR_TEST_LOG ? 'inherit' : 'ignore' },
  )
  await waitFor('Alertmanager is ready', async () => (await fetch(`${url}/-/ready`)).ok)
}, 60_000)
afterAll(async () => {
  if (child) {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }
  await hook?.close()
  folder.remove()
})

type Seen = {
  labels: Record<string, string>
  annotations: Record<string, string>
  endsAt: string
  generatorURL: string
  status: { state: string; silencedBy: string[] }
}
const alerts = async (): Promise<Seen[]> => (await (await fetch(`${url}/api/v2/alerts`)).json()) as Seen[]
const target = () =>
  targetOf(configSchema.parse({ alerts: { to: [{ alertmanager: { url, resend_s: 0.5 } }] } }).alerts.to[0]!, {
    instance: 'i',
    console_url: 'https://c.example',
  })
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

describe.skipIf(!isThere)('Alertmanager', () => {
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
    const response = await fetch(`${url}/api/v2/silences`, {
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
