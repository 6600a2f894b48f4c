import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { claimedWorkers, claimWorker } from '../../../proxy/spool/claim.ts'
import { type Folder, makeFolder } from '../../support/folder.ts'

const MODULE = fileURLToPath(new URL('../../../proxy/spool/claim.ts', import.meta.url))
let folder: Folder
const running: ChildProcess[] = []
beforeEach(() => {
  folder = makeFolder('claim')
})
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  folder.remove()
})

/** A process that claims a worker id and says it; it lets go when its input ends. */
async function claimer(): Promise<{ child: ChildProcess; worker_id: string }> {
  const program = `import { claimWorker } from ${JSON.stringify(MODULE)}
const claim = claimWorker(${JSON.stringify(folder.path)})
process.stdout.write(claim.worker_id)
process.stdin.resume().on('end', () => { claim.release(); process.exit() })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  running.push(child)
  return { child, worker_id: String((await once(child.stdout!, 'data'))[0]) }
}

test('holds as long as its process lives, whatever way it ends, and nothing of it is left', async () => {
  const [kept, killed, done] = await Promise.all([claimer(), claimer(), claimer()])
  const all = [kept, killed, done].map((c) => c.worker_id)
  expect(claimedWorkers(folder.path)).toEqual(new Set(all))
  killed.child.kill('SIGKILL')
  done.child.stdin!.end()
  await Promise.all([once(killed.child, 'exit'), once(done.child, 'exit')])
  expect(claimedWorkers(folder.path)).toEqual(new Set([kept.worker_id]))
  expect(readdirSync(folder.path)).toEqual([`${kept.worker_id}.lock`])
})

test('a stopped process keeps its claim', async () => {
  const { child, worker_id } = await claimer()
  child.kill('SIGSTOP')
  expect(claimedWorkers(folder.path)).toEqual(new Set([worker_id]))
})

test('other files are nobody’s claim, and stay', () => {
  writeFileSync(join(folder.path, 'notes.lock'), '')
  expect(claimedWorkers(folder.path)).toEqual(new Set())
  expect(readdirSync(folder.path)).toEqual(['notes.lock'])
})

test('claiming and looking at once never leaves a claim that is not seen', async () => {
  let isWatching = true
  const watching = (async () => {
    while (isWatching) {
      claimedWorkers(folder.path)
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  const claims = await Promise.all(Array.from({ length: 6 }, claimer)).finally(() => {
    isWatching = false
  })
  await watching
  expect(claimedWorkers(folder.path)).toEqual(new Set(claims.map((c) => c.worker_id)))
})

test('a folder that cannot be written is said at once', () => {
  expect(() => claimWorker(join(folder.path, 'nowhere'))).toThrow()
})
