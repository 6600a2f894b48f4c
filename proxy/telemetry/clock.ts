/** Time in microseconds: monotonic for durations, and its offset to wall time for timestamps. */

/** Monotonic microseconds since the process started, fractions kept. */
export const nowUs = (): number => performance.now() * 1000

const offset = (): number => Date.now() * 1000 - nowUs()
let wallOffset_us = offset()
// Wall time may be stepped while the process lives; the offset follows it within a second.
setInterval(() => {
  wallOffset_us = offset()
}, 1000).unref()

/** Wall time (microseconds since 1970 UTC, whole) of a monotonic reading. */
export const wallUs = (monotonic_us: number): number => Math.round(wallOffset_us + monotonic_us)
