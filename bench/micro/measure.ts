/**
 * Nanoseconds and bytes an operation takes. A repeat is short enough (about 0.3 ms) to fall between two interruptions, so
 * wall time serves as CPU time and the 25th percentile is one of an undisturbed repeat; collecting garbage falls outside
 * it, which is why the bytes an operation allocates are told beside.
 */
import { getHeapStatistics } from 'node:v8'
import { quantile, type Spread, spreadOf } from '../support/spread.ts'

/** `stage` is the row of the budget (node-performance.md, section 9) it counts in; '' for what is only told. */
export type Micro = {
  name: string
  stage: string
  ns: Spread
  /** Bytes of V8 heap made anew, without buffers' own memory. */
  heap_bytes: number
  target_ns: number | null
  must_ns: number | null
}

const REPEATS = Number(process.env.BENCH_REPEATS ?? 400)
const REPEAT_MS = 0.3
const WARM_CALLS = 50_000
const WARM_MS = 400
const HEAP_SAMPLES = 40

/** What the measured code returns goes here, so that it is not optimised away. */
export const sink: { last: unknown } = { last: null }

type Operation = (i: number) => unknown

function timeOf(operation: Operation, count: number, from: number): number {
  const start = performance.now()
  for (let i = 0; i < count; i++) sink.last = operation(from + i)
  return performance.now() - start
}

const heapBytes = (): number => getHeapStatistics().used_heap_size

/** Median growth of the heap; samples with a collection inside show no growth and fall out. */
function heapOf(operation: Operation, count: number): number {
  const empty: number[] = []
  const grown: number[] = []
  for (let s = 0; s < HEAP_SAMPLES; s++) {
    const before = heapBytes()
    empty.push(heapBytes() - before)
    const start = heapBytes()
    for (let i = 0; i < count; i++) sink.last = operation(i)
    const growth = heapBytes() - start
    if (growth >= 0) grown.push(growth)
  }
  const median = (list: number[]): number =>
    quantile(
      list.sort((a, b) => a - b),
      0.5,
    )
  return Math.max(0, Math.round((median(grown) - median(empty)) / count))
}

export type MicroOptions = { stage?: string; target_ns?: number; must_ns?: number }

const results: Micro[] = []

/** Measures `operation`; its argument counts up over all calls. */
export function micro(name: string, operation: Operation, options: MicroOptions = {}): void {
  let done = 0
  for (const end = performance.now() + WARM_MS; done < WARM_CALLS || performance.now() < end; done += 100) {
    timeOf(operation, 100, done)
    if (performance.now() > end + 5 * WARM_MS) break
  }
  let count = 1
  while (timeOf(operation, count, done) < REPEAT_MS && count < 1_000_000) {
    done += count
    count *= 2
  }
  const repeats: number[] = []
  for (let i = 0; i < REPEATS; i++) {
    repeats.push((timeOf(operation, count, done) * 1e6) / count)
    done += count
  }
  results.push({
    name,
    stage: options.stage ?? '',
    ns: spreadOf(repeats),
    heap_bytes: heapOf(operation, Math.max(1, Math.min(count, 50))),
    target_ns: options.target_ns ?? null,
    must_ns: options.must_ns ?? null,
  })
}

/** Prints what was measured as one line of JSON; the last thing a file does. */
export const report = (): void => {
  process.stdout.write(`${JSON.stringify(results)}\n`)
}
