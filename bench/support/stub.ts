/** Starts the stub server: the Go program when Go is there to build it, the Node one otherwise. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { type Started, scratch, startServer, which } from './children.ts'
import { ROOT } from './machine.ts'

export type Stub = Started & { url: string; kind: 'go' | 'node' }

/** GOMAXPROCS=1: on the two cores of a small machine the stub must not crowd out what is measured. */
export async function startStub(): Promise<Stub> {
  const go = which('go')
  if (go) {
    const binary = join(scratch('stub'), 'stub-upstream')
    try {
      execFileSync(go, ['build', '-o', binary, '.'], {
        cwd: join(ROOT, 'bench/stub-upstream'),
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, GOFLAGS: '-mod=mod', CGO_ENABLED: '0' },
      })
      return {
        ...(await startServer(binary, [], { env: { ...process.env, GOMAXPROCS: '1' } })),
        kind: 'go',
      }
    } catch (error) {
      process.stderr.write(
        `stub-upstream does not build, the Node stub takes its place: ${(error as Error).message}\n`,
      )
    }
  }
  return { ...(await startServer(process.execPath, [join(ROOT, 'bench/stub-upstream.ts')])), kind: 'node' }
}
