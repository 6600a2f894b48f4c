/** A door between collector and store: it sees every insert, and can let something happen right before or after one. */
import { createServer, request, type Server } from 'node:http'

export type Gate = {
  readonly address: string
  /** Called before an insert is passed on, and again after the store answered; the insert waits for it. 'stop' ends it there. */
  onInsert: (table: string, when: 'before' | 'after') => Promise<'stop' | undefined> | 'stop' | undefined
  /** When set, inserts are answered with this instead of being passed on. */
  refuse: { status: number; code: number; text: string } | null
  close(): Promise<void>
}

export async function openGate(target: string): Promise<Gate> {
  const to = new URL(target)
  const server: Server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', async () => {
      const query = new URL(incoming.url ?? '/', target).searchParams.get('query') ?? ''
      const table = /^INSERT INTO \w+\.(\w+)/.exec(query)?.[1] ?? ''
      if (table && gate.refuse) {
        const { status, code, text } = gate.refuse
        outgoing
          .writeHead(status, { 'x-clickhouse-exception-code': String(code) })
          .end(`Code: ${code}. DB::Exception: ${text}. (SOME_CODE) (version 26.7)`)
        return
      }
      if (table && (await gate.onInsert(table, 'before')) === 'stop') {
        outgoing.destroy()
        return
      }
      const onward = request(
        {
          host: to.hostname,
          port: to.port,
          method: incoming.method,
          path: incoming.url,
          headers: incoming.headers,
        },
        async (answer) => {
          const parts: Buffer[] = []
          for await (const part of answer) parts.push(part as Buffer)
          if (table) await gate.onInsert(table, 'after')
          const { 'transfer-encoding': _, ...headers } = answer.headers
          outgoing.writeHead(answer.statusCode ?? 500, headers).end(Buffer.concat(parts))
        },
      )
      onward.on('error', () => outgoing.destroy())
      onward.end(Buffer.concat(chunks))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const { port } = server.address() as { port: number }
  const gate: Gate = {
    address: `http://127.0.0.1:${port}`,
    onInsert: () => undefined,
    refuse: null,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return gate
}
