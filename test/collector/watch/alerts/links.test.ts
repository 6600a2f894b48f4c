/** Where links of alerts lead: addresses as the console reads them. */
import { expect, test } from 'vitest'
import { consoleUrl } from '../../../../collector/watch/alerts/links.ts'

test.each([
  ['a tool has a page', 'tools', { server: 'a/b', tool: 'c', from: 1 }, '/tools/a%2Fb/c?from=1'],
  // How late calls are is measured, and so a fraction; the console would look at the last hour instead.
  ['moments are whole', 'tools', { from: 1.4, to: 2.6 }, '/tools?from=1&to=3'],
  ['costs of a time', 'cost', { from: 1, to: 2, team: 't' }, '/cost?from=1&to=2&team=t&period=range'],
  ['costs of a tool', 'cost', { server: 's', tool: 't' }, '/cost?server=s&tool=s%2Ft'],
  ['a call of a trace', 'trace', { id: 'ab', span: 'cd' }, '/trace/ab?span=cd'],
  ['the first view has no name', 'overview', {}, '/'],
] as const)('%s', (_what, view, params, path) => expect(consoleUrl(view, params)).toBe(path))
