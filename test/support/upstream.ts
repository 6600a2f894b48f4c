/** The MCP server behind a test installation: a process of its own, told by the names of its tools what to do. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

export type Seen = {
  arrived: {
    id: string
    tool: string
    at_ms: number
    body: string
    headers: Record<string, unknown>
    /** With `spool`: its intent was there when it arrived. */
    wasOnDisk: boolean
  }[]
  /** Bodies of answers to what the server asked. */
  answers: string[]
  /** Answers waiting for `release`. */
  held: number
  cancelled: number
  openStreams: number
  /** Answers whose connection went away before they were complete. */
  abandoned: number
  sent_bytes: number
  /** Open sockets, and how many calls and streams each has carried. */
  sockets: { id: number; calls: number; streams: number }[]
}

export type UpstreamStub = {
  readonly url: string
  readonly pid: number
  seen(): Promise<Seen>
  /** Lets held answers go; resolves with their number. */
  release(): Promise<number>
  /** From now on `arrived` holds bodies and headers. */
  keepBodies(): Promise<void>
  end(): Promise<void>
}

export async function startUpstream(
  options: { sessions?: boolean; keepBodies?: boolean; spool?: string } = {},
): Promise<UpstreamStub> {
  const argv = [
    ...(options.sessions ? ['--sessions'] : []),
    ...(options.keepBodies ? ['--keep-bodies'] : []),
    ...(options.spool ? [`--spool=${options.spool}`] : []),
  ]
  const child: ChildProcess = fork(new URL('./upstream-program.ts', import.meta.url), argv, {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    execArgv: [],
  })
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  const { port } = JSON.parse(line.toString()) as { port: number }
  const origin = `http://127.0.0.1:${port}`
  const ask = async <T>(path: string): Promise<T> => (await (await fetch(origin + path)).json()) as T
  return {
    url: `${origin}/mcp`,
    pid: child.pid!,
    seen: () => ask<Seen>('/_seen'),
    release: async () => (await ask<{ released: number }>('/_release')).released,
    keepBodies: async () => void (await ask('/_keep')),
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}
