/** Counts of quotas and money on disk: what is taken in a running period outlives a restart. Written behind, never waited for. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'

/** `used`: calls or nano-dollars; `warned`: the share that was told of. */
export type LedgerLine = [key: string, period_start: number, used: number, warned: number]
type Ledger = { version: 1; windows: LedgerLine[] }

export class LedgerFile {
  readonly #file: string
  #isWriting = false

  constructor(file: string) {
    this.#file = file
  }

  /** What was written last; nothing when there is no file. Throws when it cannot be read: then counts would begin anew unseen. */
  read(): LedgerLine[] {
    let text: string
    try {
      text = readFileSync(this.#file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw new Error(`${this.#file} cannot be read: ${(error as Error).message}`, { cause: error })
    }
    try {
      return (JSON.parse(text) as Ledger).windows
    } catch (error) {
      throw new Error(
        `${this.#file} is damaged: delete it, and quotas and budgets of running periods begin anew`,
        { cause: error },
      )
    }
  }

  /** Writes unless a write is under way. Resolves with whether it did. */
  async write(windows: LedgerLine[]): Promise<boolean> {
    if (this.#isWriting) return false
    this.#isWriting = true
    try {
      const temporary = `${this.#file}.new`
      await writeFile(temporary, text(windows), { mode: 0o600 })
      await rename(temporary, this.#file)
      return true
    } finally {
      this.#isWriting = false
    }
  }

  /** As `write`, before the process ends. */
  writeNow(windows: LedgerLine[]): void {
    const temporary = `${this.#file}.last`
    writeFileSync(temporary, text(windows), { mode: 0o600 })
    renameSync(temporary, this.#file)
  }
}

const text = (windows: LedgerLine[]): string => JSON.stringify({ version: 1, windows } satisfies Ledger)
