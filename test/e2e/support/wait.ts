/** Waits until something holds, with a deadline. Nothing in these tests sleeps to be in step. */

const POLL_MS = 20

/** Resolves when `holds` returns true. Rejects after `deadline_ms`, saying what was waited for and `state`. */
export async function waitFor(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadline_ms = 10_000,
  state: () => string = () => '',
): Promise<void> {
  const end = Date.now() + deadline_ms
  for (;;) {
    if (await holds()) return
    if (Date.now() > end) throw new Error(`${what}: not within ${deadline_ms} ms. ${state()}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
