/** The watch's share of money: tells the store of prices and budgets in force, and rates the past anew when prices change. */
import { budgetsId, mirrorMoney } from '../money/mirror.ts'
import { dueRating, finish } from '../money/ratings.ts'
import { openWork, type Work } from '../money/rerate.ts'
import type { JobParts } from './jobs.ts'
import type { Job } from './watch.ts'

const EVERY_MS = 2_000
/** A run gives way after this, so that a stop does not wait for months of calls. */
const RUN_MS = 1_500

export function moneyJob({ store, log, options, book }: JobParts): Job {
  /** What the store was told last, by whom: another holder of the watch may have told it something else since. */
  let told = ''
  let work: Work | null = null
  return {
    name: 'money',
    every_ms: EVERY_MS,
    async run(_now_ms, epoch) {
      const until_ms = performance.now() + RUN_MS
      const { money } = options()
      const current = book()
      const telling = `${epoch}:${current.id}:${budgetsId(money.budgets)}`
      if (told !== telling) {
        await mirrorMoney(store, money, current.id)
        told = telling
      }
      const rating = await dueRating(store, current.id, current.prices.length === 0)
      if (!rating) {
        work = null
        return
      }
      if (work?.rating.rating !== rating.rating) work = await openWork(store, rating)
      if (!(await work.go(current, until_ms))) return
      await finish(store, rating, work.result)
      const { calls, changed, delta_nano } = work.result
      work = null
      if (changed > 0 || rating.what !== 'late')
        log('info', 'calls rated anew', {
          rating: rating.rating,
          why: rating.what,
          calls,
          changed,
          delta_nano,
        })
    },
  }
}
