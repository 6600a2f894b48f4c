/** When news of runs go out: at once where little happens, together where much does, never without bound. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { RunNews } from '../../../proxy/telemetry/inferred-runs.ts'
import { gatherNews } from '../../../proxy/telemetry/run-news.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const news = (n: number): RunNews => ({ name: 'a', endpoint: '/mcp', prefix: '', n, run: 'r', doubt: 0 })

test('the first goes at once, those shortly after it together, and the next after a rest at once again', () => {
  const sent: number[][] = []
  const tell = gatherNews((together) => sent.push(together.map((one) => one.n)))
  tell(news(1))
  vi.advanceTimersByTime(0)
  expect(sent).toEqual([[1]])
  tell(news(2))
  tell(news(3))
  vi.advanceTimersByTime(0)
  expect(sent).toEqual([[1]])
  vi.advanceTimersByTime(1_000)
  expect(sent).toEqual([[1], [2, 3]])
  tell(news(4))
  vi.advanceTimersByTime(0)
  expect(sent).toEqual([[1], [2, 3], [4]])
})

test('what is too much is not told', () => {
  const sent: number[] = []
  const tell = gatherNews((together) => sent.push(together.length))
  for (let n = 0; n < 5_000; n++) tell(news(n))
  vi.advanceTimersByTime(1_000)
  expect(sent).toEqual([2_000])
})
