/** Workers without supervisor, collector and store, each with a config of its own, beside the bare forwarder in the same run. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { scratch, startServer } from './children.ts'
import { ROOT } from './machine.ts'
import type { Patch } from './patches.ts'
import { type Era, httpRequest, openSession, proveCall, writeRequests } from './requests.ts'
import type { RunOptions } from './scenario.ts'
import { startStub } from './stub.ts'
import { alternate, type Measured, type Variant } from './windows.ts'

const KEY = 'weir_bench'
const CONNECTIONS = 64

/** `yaml`: appended to the config. `callers`: how many there are besides the one that calls. */
export type Variation = {
  name: string
  patches: Patch[]
  yaml: string
  callers?: number
  era?: Era
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

const others = (count: number): string =>
  Array.from(
    { length: count },
    (_, i) => `  other-${i}: { team: team-${i % 50}, keys: [ { sha256: ${sha256(`other-${i}`)} } ] }\n`,
  ).join('')

/** The weir.yaml of a worker. */
export const configOf = (
  { yaml, callers = 0 }: Variation,
  url: string,
  folder: string,
): string => `listen: 127.0.0.1:0
data: ${folder}
servers:
  stub: { url: "${url}" }
callers:
  bench: { team: bench, keys: [ { sha256: ${sha256(KEY)} } ] }
${others(callers)}log: { level: warn }
${yaml}`

/** What each takes a call at 64 connections, by name; `dispatch` is the forwarder. */
export async function besideDispatch(
  variations: readonly Variation[],
  { quick, say }: Pick<RunOptions, 'quick' | 'say'>,
): Promise<Map<string, Measured>> {
  const stub = await startStub()
  const variants: Variant[] = []
  const dispatch = await startServer(process.execPath, [
    join(ROOT, 'bench/floor-dispatch.ts'),
    `${stub.url}/mcp`,
  ])
  const add = async (name: string, url: string, pid: number, path: string, era: Era): Promise<void> => {
    const call = { url: url + path, key: KEY, tool: 'echo', era }
    const requests =
      era === 'modern'
        ? [httpRequest(call)]
        : (await Promise.all(Array.from({ length: CONNECTIONS }, () => openSession(call.url, KEY)))).map(
            (session) => httpRequest({ ...call, session }),
          )
    await proveCall(requests[0]!)
    const file = join(scratch('alone'), 'requests')
    writeRequests(file, requests)
    variants.push({ name, url, pids: [pid], requests: file })
  }
  await add('dispatch', dispatch.url, dispatch.pid, '/mcp', 'legacy')
  for (const variation of variations) {
    const { name, patches, era = 'legacy' } = variation
    const folder = scratch('alone')
    const yaml = configOf(variation, `${stub.url}/mcp`, folder)
    const given = join(folder, 'alone.json')
    writeFileSync(given, JSON.stringify({ yaml, folder, patches }))
    const alone = await startServer(process.execPath, [join(ROOT, 'bench/worker-alone.ts'), given])
    await add(name, alone.url, alone.pid, '/servers/stub/mcp', era)
  }
  return alternate(variants, { connections: CONNECTIONS, rounds: quick ? 3 : 16, say })
}
