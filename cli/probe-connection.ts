/** A line to an MCP server at the other end of an event stream or a WebSocket, as the host keeps it. */
import type { ServerConfig } from '../config/schema.ts'
import { Log } from '../proxy/host/log.ts'
import { channelOpener, describeFailure } from '../proxy/host/open-channel.ts'
import { LineSpeaker } from './line-speaker.ts'
import type { Speaker } from './probe.ts'

export function openConnection(name: string, config: ServerConfig, deadline: AbortSignal): Speaker {
  const quiet = new Log('error')
  const channel = channelOpener(
    name,
    config,
    {},
    quiet,
  )({
    line: (text) => line.line(text),
    overflow: () => line.fail(new Error('its answer is too large')),
  })
  const line = new LineSpeaker((text) => channel.write(text), deadline)
  void channel.exited.then(({ error }) =>
    line.fail(new Error(error === null ? 'it closed the connection' : describeFailure(config, error))),
  )
  return line.speaker(async () => {
    await channel.end()
  })
}
