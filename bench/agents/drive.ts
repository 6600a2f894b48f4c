/** Runs cases of labelled traffic against one address, each process of agents as a process. Knows nothing of how it is recorded. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Case, ProgramPlan, Way } from './plan.ts'

const PROGRAM = fileURLToPath(new URL('./agent-program.ts', import.meta.url))
const AT_ONCE = 12

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

function runProgram(plan: ProgramPlan): Promise<{ failed: number }> {
  const child = fork(PROGRAM, [], { execArgv: [] })
  running.add(child)
  return new Promise((resolve, reject) => {
    let said: { failed: number; problem: string } | null = null
    child.once('message', (message) => (said = message as typeof said))
    child.once('exit', (code) => {
      running.delete(child)
      if (said && said.problem === '') resolve({ failed: said.failed })
      else reject(new Error(`a program of agents ended with ${code}: ${said?.problem ?? 'without a word'}`))
    })
    child.send(plan)
  })
}

/** `urls`: the endpoints of each way. Resolves with the number of calls that failed. */
export async function driveCases(
  all: readonly Case[],
  urls: Readonly<Record<Way, string[]>>,
  headers: Record<string, string>,
): Promise<number> {
  let failed = 0
  const waiting = [...all]
  let open = 0
  await new Promise<void>((resolve, reject) => {
    const next = (): void => {
      if (waiting.length === 0 && open === 0) return resolve()
      // The agents of one case run at the same time, so a case begins when there is room for all of it.
      while (waiting.length > 0 && (open === 0 || open + waiting[0]!.processes.length <= AT_ONCE)) {
        const { processes, way } = waiting.shift()!
        open += processes.length
        for (const agents of processes)
          runProgram({ headers, agents: agents.map((a) => ({ ...a, urls: urls[way] })) }).then((end) => {
            failed += end.failed
            open--
            next()
          }, reject)
      }
    }
    next()
  })
  return failed
}
