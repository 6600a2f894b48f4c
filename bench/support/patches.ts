/** Text edits of the product's source that take a part of the call path out, or put another in its place, for a measurement. */

/** In `file` (path from the root) the text `from` becomes `to`. `from` must stand there exactly once. */
export type Patch = { file: string; from: string; to: string }

/** The source with the edits. Throws when one no longer fits: a stage silently left in would read as costing nothing. */
export function patched(source: string, patches: readonly Patch[]): string {
  let text = source
  for (const { file, from, to } of patches) {
    const parts = text.split(from)
    if (parts.length !== 2) throw new Error(`the patch of ${file} fits ${parts.length - 1} times: ${from}`)
    text = parts.join(to)
  }
  return text
}
