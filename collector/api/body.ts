/**
 * Bodies as the sender meant them: inflated, and never larger than they may be, so that a small body cannot become a big one.
 */
import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import { ApiError } from './errors.ts'

/** Largest body, on the wire and inflated: of a batch, and of an OTLP request (which is decoded in one go). */
export const BODY_MAX = 64 * 1024 * 1024
export const OTLP_BODY_MAX = 16 * 1024 * 1024

const INFLATE: Readonly<
  Record<string, (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>
> = {
  gzip: promisify(gunzip),
  zstd: promisify(zstdDecompress),
}

/** Throws ApiError 415 for an unknown encoding, 413 when it grows too large, 400 when it cannot be inflated. */
export async function inflate(body: Buffer, encoding: string | undefined, max = BODY_MAX): Promise<Buffer> {
  if (encoding === undefined || encoding === '' || encoding === 'identity') return body
  const decode = INFLATE[encoding.toLowerCase()]
  if (!decode)
    throw new ApiError(
      415,
      'encoding_unknown',
      'this content-encoding is not known here',
      'send identity, gzip or zstd',
    )
  try {
    return await decode(body, { maxOutputLength: max })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new ApiError(
        413,
        'body_too_large',
        'the body is larger than this endpoint takes',
        'send less at a time',
      )
    throw new ApiError(400, 'body_unreadable', `the body is not ${encoding}`, 'send the same bytes again')
  }
}
