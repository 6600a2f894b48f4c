/** Waiting for something to become true, with a deadline and a reason. Never a sleep that hopes. */
import { setTimeout as pause } from 'node:timers/promises'

const STEP_MS = 25

/** Asks again until the answer is truthy and returns it. Throws with `what` and the last error when the time is up. */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T> | T,
  deadline_ms = 30_000,
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const end = Date.now() + deadline_ms
  let last: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer) return answer as Exclude<T, false | null | undefined | 0 | ''>
      last = undefined
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`not within ${deadline_ms} ms: ${what}`, { cause: last })
    await pause(STEP_MS)
  }
}
