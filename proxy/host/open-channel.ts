/** From a server's config to a line to it: a process, or a connection. Everything that differs between them is here. */
import { ownHeaders, publicUrl, transportOf } from '../../config/transport.ts'
import type { Channel, ChannelEvents } from './channel.ts'
import { childSpec } from './command.ts'
import { cut, LineRate, type Log } from './log.ts'
import type { HostedServer } from './options.ts'
import { SseChannel } from './sse-channel.ts'
import { StdioChild } from './stdio-child.ts'
import { StreamableChannel } from './streamable-channel.ts'
import { WebSocketChannel } from './websocket-channel.ts'

const STDERR_LINES_PER_S = 50

const CONNECTIONS = {
  websocket: WebSocketChannel,
  sse: SseChannel,
  http: StreamableChannel,
} as const

export type OpenChannel = (events: ChannelEvents) => Channel

/** Throws when the command cannot be read. `env`: what processes inherit an allow-listed part of. */
export function channelOpener(
  server: string,
  config: HostedServer,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): OpenChannel {
  const open = config.command === undefined ? connectionOpener(config) : childOpener(server, config, env, log)
  const what = config.command === undefined ? 'connection to the server' : 'server process'
  return (events) => {
    const channel = open(events)
    log.line('info', `${what} started`, { server, pid: channel.pid })
    void channel.exited.then(({ memory, ...end }) => {
      const held = memory && { memory_bytes: memory.bytes, memory_max_bytes: memory.max_bytes }
      log.line(end.asked ? 'info' : 'warn', `${what} ended`, { server, pid: channel.pid, ...end, ...held })
    })
    return channel
  }
}

function childOpener(
  server: string,
  config: HostedServer,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): OpenChannel {
  const spec = childSpec({ ...config, command: config.command! }, env)
  const rate = new LineRate(STDERR_LINES_PER_S)
  return (events) => {
    const child: StdioChild = new StdioChild(spec, {
      ...events,
      stderr: (text) => {
        const held = rate.admit()
        if (held >= 0) log.line('info', 'stderr', { server, pid: child.pid, line: cut(text), held })
      },
    })
    return child
  }
}

function connectionOpener(config: HostedServer): OpenChannel {
  const url = new URL(config.url!)
  url.username = ''
  url.password = ''
  const target = { url, headers: Object.fromEntries(ownHeaders(config)) }
  const Kind = CONNECTIONS[transportOf(config) as keyof typeof CONNECTIONS]
  return (events) => new Kind(target, events)
}

/** What could not be started or reached, in words that hold no secret: arguments and queries may. */
export function describeFailure(config: HostedServer, error: string): string {
  const { command } = config
  if (command === undefined) {
    const why = error === 'ECONNREFUSED' ? 'nobody listens there' : error
    return `${publicUrl(config.url!)} cannot be reached: ${why}`
  }
  const word = typeof command === 'string' ? command.trim().split(/\s/)[0] : command[0]
  const why = error === 'ENOENT' ? 'there is no such program, or its working folder does not exist' : error
  return `the command "${word}" cannot be started: ${why}`
}
