/**
 * What the suite's client leg runs as its client: `node client-program.ts <door> <client> <url of the suite's server>`.
 * Asks the door for an endpoint behind which that server stands, and runs the real client on it. What the suite tells its
 * client in the environment (MCP_CONFORMANCE_*) goes along, and so do output and exit code.
 */
import { spawn } from 'node:child_process'

const [door, client, url] = process.argv.slice(2) as [string, string, string]
const answer = await fetch(door, {
  method: 'POST',
  body: JSON.stringify({ url, scenario: process.env.MCP_CONFORMANCE_SCENARIO ?? 'none' }),
})
if (!answer.ok) throw new Error(`the door answers ${answer.status}: ${await answer.text()}`)
spawn(client, [await answer.text()], { stdio: 'inherit' }).once('exit', (code) => {
  process.exitCode = code ?? 1
})
