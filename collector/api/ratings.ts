/** `POST /v1/ratings`: asks for the calls of a time range to be rated anew. The watch does it; the answer names the rating. */
import type { FastifyInstance } from 'fastify'
import type { Book } from '../../config/cost-book.ts'
import { askRating } from '../money/ratings.ts'
import { type Store, StoreError } from '../sink/store.ts'
import { ApiError, storeAway } from './errors.ts'
import type { Guard } from './guard.ts'

export type RatingParts = {
  guard: Guard
  store: Store
  isReady(): boolean
  /** The price book in force. */
  book(): Book
}

/** Body: `{ "from_ms", "to_ms" }`, milliseconds since 1970. Throws ApiError 400. */
function rangeOf(body: unknown): { from_us: number; to_us: number } {
  let value: { from_ms?: unknown; to_ms?: unknown } | null = null
  try {
    value = Buffer.isBuffer(body) ? JSON.parse(body.toString('utf8')) : null
  } catch {
    // Told below.
  }
  const { from_ms, to_ms } = value ?? {}
  const isMoment = (ms: unknown): ms is number =>
    Number.isSafeInteger(ms) && (ms as number) >= 0 && (ms as number) < Date.UTC(2100, 0)
  if (!isMoment(from_ms) || !isMoment(to_ms) || from_ms >= to_ms)
    throw new ApiError(
      400,
      'range_malformed',
      'the body is not a time range',
      'send {"from_ms": …, "to_ms": …} in milliseconds since 1970, the first before the second',
    )
  return { from_us: from_ms * 1000, to_us: to_ms * 1000 }
}

/** Adds the route. Whoever may send batches may ask. */
export function ratingRoutes(app: FastifyInstance, { guard, store, isReady, book }: RatingParts): void {
  app.post('/v1/ratings', { onRequest: async (request) => guard.checkIntake(request) }, async (request) => {
    const { from_us, to_us } = rangeOf(request.body)
    if (!isReady()) throw storeAway()
    try {
      const { id } = book()
      return { rating: await askRating(store, id, from_us, to_us), book: id }
    } catch (error) {
      throw error instanceof StoreError ? storeAway() : error
    }
  })
}
