/**
 * Answers through a filter: what of them the client may see. Fails closed: what the filter cannot read is an error in their place.
 * Pure but for the size of the answer, which is that of what is shown.
 */
import type { Call } from '../call.ts'
import { asWeirError, WeirError } from '../errors.ts'
import { frameData, withData } from '../mcp/frames.ts'
import type { AnswerForm } from './outcome.ts'

type Filter = (json: string) => string

/** A plain answer as the client may see it. */
export function shownBody(filter: Filter, whole: Buffer, form: AnswerForm, call: Call): Buffer | WeirError {
  if (whole.length === 0) return whole
  try {
    if (!form.isJson || form.isCompressed) {
      // What says by its status that it is no answer holds no list.
      if (call.http_status >= 400) return whole
      return new WeirError('upstream_protocol', 'a list that is not plain JSON is not shown')
    }
    const text = whole.toString()
    const shown = filter(text)
    if (shown === text) return whole
    const bytes = Buffer.from(shown)
    call.response_bytes += bytes.length - whole.length
    return bytes
  } catch (error) {
    return asWeirError(error)
  }
}

/** A frame of a stream as the client may see it. */
export function shownFrame(filter: Filter | null, frame: Buffer): Buffer | WeirError {
  const data = filter && frame.length > 0 ? frameData(frame) : null
  if (filter === null || data === null || data === '') return frame
  try {
    const shown = filter(data)
    return shown === data ? frame : withData(frame, shown)
  } catch (error) {
    return asWeirError(error)
  }
}
