/** The real Alertmanager of Debian, for tests; it posts to a hook what it is told. */
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stablePort } from '../../../support/ports.ts'
import { waitFor } from '../../../support/wait.ts'

const PROGRAM = 'prometheus-alertmanager'
export const HAS_ALERTMANAGER = spawnSync(PROGRAM, ['--version']).status === 0
if (!HAS_ALERTMANAGER)
  process.stderr.write(`skipped: there is no ${PROGRAM} here; apt-get install ${PROGRAM}\n`)

/** An alert as its API shows it. */
export type Seen = {
  labels: Record<string, string>
  annotations: Record<string, string>
  endsAt: string
  generatorURL: string
  status: { state: string; silencedBy: string[] }
}
export type Alertmanager = { url: string; alerts(): Promise<Seen[]>; close(): Promise<void> }

/** Starts one that keeps its data below `folder`. */
export async function startAlertmanager(folder: string, hook_url: string): Promise<Alertmanager> {
  const url = `http://127.0.0.1:${stablePort()}`
  const config = join(folder, 'alertmanager.yml')
  writeFileSync(
    config,
    `route: { receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 200ms, repeat_interval: 1h }\nreceivers: [{ name: hook, webhook_configs: [{ url: "${hook_url}", send_resolved: true }] }]\n`,
  )
  const child = spawn(
    PROGRAM,
    [
      `--config.file=${config}`,
      `--storage.path=${folder}/data-of-alertmanager`,
      `--web.listen-address=${new URL(url).host}`,
      '--cluster.listen-address=',
    ],
    { stdio: process.env.WEIR_TEST_LOG ? 'inherit' : 'ignore' },
  )
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const kill = (): void => void child.kill('SIGKILL')
  // A test that is cut short leaves none behind.
  process.once('exit', kill)
  const close = async (): Promise<void> => {
    process.off('exit', kill)
    kill()
    await ended
  }
  try {
    await waitFor('Alertmanager is ready', async () => (await fetch(`${url}/-/ready`)).ok)
  } catch (error) {
    await close()
    throw error
  }
  return {
    url,
    alerts: async () => (await (await fetch(`${url}/api/v2/alerts`)).json()) as Seen[],
    close,
  }
}
