import { describe, expect, it } from 'vitest'
import { engineError, StoreError, statusOf, wordsOf } from '../../store/errors.ts'

describe('engineError', () => {
  it('reads code, label and sentence', () => {
    const error = engineError(new Error('Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)'))
    expect([error.code, error.label, error.message, statusOf(error)]).toEqual([
      60,
      'UNKNOWN_TABLE',
      'Table x does not exist',
      404,
    ])
  })

  it('unwraps errors of errors', () => {
    const inner = "Code: 164. DB::Exception: Cannot modify 'x'. (READONLY) (version 26.7.2.1)"
    const error = engineError(
      new Error(
        `Code: 164. DB::Exception: Code: 164. DB::Exception: ${inner}. (READONLY) (version 26.7.2.1). (READONLY)`,
      ),
    )
    expect([error.code, error.message]).toEqual([164, "Cannot modify 'x'"])
  })

  it('keeps what it cannot read', () => {
    const error = engineError(new Error('connection closed'))
    expect([error.code, error.message, statusOf(error)]).toEqual([1002, 'connection closed', 500])
  })
})

describe('wordsOf', () => {
  it('speaks as ClickHouse does', () => {
    expect(wordsOf(new StoreError(47, 'UNKNOWN_IDENTIFIER', 'No x'), '26.7.2.1')).toBe(
      'Code: 47. DB::Exception: No x. (UNKNOWN_IDENTIFIER) (version 26.7.2.1 (official build))\n',
    )
  })
})
