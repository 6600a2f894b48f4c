/** What `weir check` finds in the text of a config. */
import { expect, test } from 'vitest'
import { referencesOf } from '../../cli/findings.ts'

test('the secret of the console at an issuer is one when it stands in the file, and not when it is a reference', () => {
  const secrets = (value: string) =>
    referencesOf(
      `auth:\n  oauth:\n    - console:\n        client_id: c\n        client_secret: "${value}"\n`,
      'weir.yaml',
      {},
    ).secrets
  expect(secrets('literal')).toEqual([{ path: 'client_secret', line: 5 }])
  expect(secrets('${SECRET}')).toEqual([])
  expect(secrets('file:secret')).toEqual([])
})
