/** A door between two parts of Weir that speak HTTP: passes on, slows down, answers with errors, or cuts. */
import { createServer, request, type ServerResponse } from 'node:http'

export type Fault =
  | { kind: 'none' }
  /** Answers only after this time. */
  | { kind: 'slow'; ms: number }
  /** Answers with this status without asking the target. */
  | { kind: 'status'; status: number; body?: string; headers?: Record<string, string> }
  /** Passes the request on, and cuts the connection instead of answering: the target did it, the asker cannot know. */
  | { kind: 'lost_answer' }
  /** Never answers; the connection stays. */
  | { kind: 'hang' }
  /** Cuts the connection before the request reaches the target. */
  | { kind: 'cut' }

export type FaultProxy = {
  readonly address: string
  /** Asked for every request. */
  fault: (method: string, url: string) => Fault
  /** Requests passed on to the target. */
  passed: number
  /** Requests that met a fault. */
  faults: number
  /** Cuts what hangs. */
  cutHanging(): void
  close(): Promise<void>
}

export async function openFaultProxy(target: () => string): Promise<FaultProxy> {
  const hanging = new Set<ServerResponse>()
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('error', () => {})
    outgoing.on('error', () => {})
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const fault = proxy.fault(incoming.method ?? '', incoming.url ?? '')
      if (fault.kind !== 'none') proxy.faults++
      if (fault.kind === 'hang') return hanging.add(outgoing)
      if (fault.kind === 'cut') return outgoing.destroy()
      if (fault.kind === 'status')
        return outgoing.writeHead(fault.status, fault.headers).end(fault.body ?? '')
      const pass = (): void => {
        const to = new URL(target())
        proxy.passed++
        const onward = request(
          {
            host: to.hostname,
            port: to.port,
            method: incoming.method,
            path: incoming.url,
            headers: incoming.headers,
            agent: false,
          },
          (answer) => {
            const parts: Buffer[] = []
            answer.on('data', (part: Buffer) => parts.push(part))
            answer.on('end', () => {
              if (fault.kind === 'lost_answer') return outgoing.destroy()
              const { 'transfer-encoding': _t, connection: _c, 'keep-alive': _k, ...headers } = answer.headers
              outgoing.writeHead(answer.statusCode ?? 502, headers).end(Buffer.concat(parts))
            })
            answer.on('error', () => outgoing.destroy())
          },
        )
        onward.on('error', () => outgoing.destroy())
        onward.end(Buffer.concat(chunks))
      }
      if (fault.kind === 'slow') setTimeout(pass, fault.ms)
      else pass()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const { port } = server.address() as { port: number }
  const proxy: FaultProxy = {
    address: `http://127.0.0.1:${port}`,
    fault: () => ({ kind: 'none' }),
    passed: 0,
    faults: 0,
    cutHanging() {
      for (const outgoing of hanging) outgoing.destroy()
      hanging.clear()
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return proxy
}
