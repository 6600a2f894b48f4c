/**
 * What this worker tells the others of runs: at once, and while much happens gathered for a moment, so that many calls make one
 * message. An agent whose next call comes over another connection then meets a worker that knows it. Bounded: what is too much is
 * not told.
 */
import type { RunNews } from './inferred-runs.ts'

const GATHER_MS = 2
const NEWS_MAX = 2_000

/** Takes news; `send` gets them together. */
export function gatherNews(send: (news: RunNews[]) => void): (news: RunNews) => void {
  let gathered: RunNews[] = []
  let sent_ms = Number.NEGATIVE_INFINITY
  const flush = (): void => {
    sent_ms = performance.now()
    const news = gathered
    gathered = []
    send(news)
  }
  return (news) => {
    if (gathered.length >= NEWS_MAX) return
    if (gathered.push(news) > 1) return
    // Where little happens nothing is gained by waiting, and the next call may come to the others first.
    const wait_ms = sent_ms + GATHER_MS - performance.now()
    if (wait_ms > 0) setTimeout(flush, wait_ms).unref()
    else setImmediate(flush)
  }
}
