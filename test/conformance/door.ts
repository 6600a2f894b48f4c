/**
 * Puts a running Weir in front of servers that come and go: each one that is announced here becomes an entry of its
 * configuration, and the announcer gets the endpoint once Weir serves it. Announcements that come together share a reload.
 */
import { createServer, type IncomingMessage } from 'node:http'
import { waitFor } from '../support/wait.ts'

const NAME_CHARS = 36

export type Door = {
  readonly url: string
  /** Names of the servers so far, by scenario. */
  readonly names: ReadonlyMap<string, string>
  close(): Promise<void>
}

/** What stands behind: a way to change the configuration, and where it then shows. */
export type Behind = {
  configure(servers: Record<string, object>): void
  /** Weir itself. */
  weir_url: string
  /** What the announcer is to connect to, without a path. */
  public_url: string
}

async function read(req: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of req) text += String(chunk)
  return text
}

export async function startDoor({ configure, weir_url, public_url }: Behind): Promise<Door> {
  const servers: Record<string, object> = {}
  const names = new Map<string, string>()
  let changed: Promise<void> | null = null

  // One write for all that are announced in the same moment.
  const announce = (name: string, url: string): Promise<void> => {
    // The suite waits for its servers' connections to end, those of a bridge's sessions too.
    servers[name] = { url, idle_timeout_ms: 1000 }
    changed ??= new Promise((resolve) =>
      setTimeout(() => {
        changed = null
        configure(servers)
        resolve()
      }, 50),
    )
    return changed
  }

  const http = createServer(async (req, res) => {
    try {
      const { url, scenario } = JSON.parse(await read(req)) as { url: string; scenario: string }
      const word = scenario.replace(/[^A-Za-z0-9]+/g, '-').slice(0, NAME_CHARS)
      const name = `${word}-${Object.keys(servers).length}`
      names.set(name, scenario)
      await announce(name, url)
      const path = `/servers/${name}/mcp`
      // No path takes PUT; only one that is there says so.
      await waitFor(
        `${path} is served`,
        async () => (await fetch(weir_url + path, { method: 'PUT' })).status === 405,
      )
      res.end(public_url + path)
    } catch (error) {
      res.writeHead(500).end((error as Error).message)
    }
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(http.address() as { port: number }).port}/`,
    names,
    close: () =>
      new Promise((resolve) => {
        http.closeAllConnections()
        http.close(() => resolve())
      }),
  }
}
