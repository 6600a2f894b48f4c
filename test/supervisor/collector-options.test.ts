/** What the collector is told of a config: who may log in to the console, and where links of alerts lead. */
import { expect, test } from 'vitest'
import { parseConfig } from '../../config/load.ts'
import { collectorOptions } from '../../supervisor/collector-options.ts'
import { collectorOptions as ofTests } from '../collector/support/processes.ts'

const told = (yaml: string) => {
  const { config } = parseConfig(yaml, '/w/weir.yaml', {})
  const { alerts } = ofTests('')
  return collectorOptions(config, {
    listen: '127.0.0.1:0',
    intake_token: 't',
    store: '',
    store_password: '',
    alerts: { ...alerts, alerts: config.alerts },
  })
}
const key = (digit: string, more = ''): string => `{ sha256: "${digit.repeat(64)}"${more} }`
const SCOPE = ', scope: ["crm/*"]'

test('a caller is narrow when it has keys and each is for some tools only', () => {
  const { login } = told(`callers:
  none: {}
  open: { keys: [ ${key('a')} ], roles: [viewer] }
  both: { keys: [ ${key('b')}, ${key('c', SCOPE)} ] }
  narrow: { keys: [ ${key('d', SCOPE)} ] }`)
  expect(login).toEqual({
    public_url: '',
    issuers: [],
    callers: {
      none: { roles: [], isNarrow: false },
      open: { roles: ['viewer'], isNarrow: false },
      both: { roles: [], isNarrow: false },
      narrow: { roles: [], isNarrow: true },
    },
  })
})

test('only issuers that offer a login are told, and links of alerts lead to the public name', () => {
  const issuers = `auth: { public_url: "https://w.example", oauth: [ { issuer: "https://a.example" }, { issuer: "https://b.example", console: { client_id: c, callers: ["*"] } } ] }`
  const open = 'console: { public_url: "https://console.example/" }'
  expect(told(issuers).login!.issuers.map(({ issuer }) => issuer)).toEqual(['https://b.example'])
  expect(told('').alerts.alerts.console_url).toBeUndefined()
  expect(told(open).alerts.alerts.console_url).toBe('https://console.example')
  expect(told(open).login!.public_url).toBe('https://console.example')
  expect(told(`${open}\nalerts: { console_url: "https://links.example" }`).alerts.alerts.console_url).toBe(
    'https://links.example',
  )
})
