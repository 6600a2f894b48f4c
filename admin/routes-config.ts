/** The configuration as a whole: whether what the file says is in force, and whether another text would load. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { changedPaths, restartChanges } from '../config/changes.ts'
import { sha256Hex } from '../config/key-text.ts'
import { ConfigError, parseConfig } from '../config/load.ts'
import { referencesOf } from '../config/splice.ts'
import type { AdminParts } from './api.ts'
import { answers, STATE, VALIDATION } from './describe.ts'
import { needsWrite } from './door.ts'
import { AdminError, problemOf } from './errors.ts'
import { withTag } from './requests.ts'

const TEXT_MAX = 4 * 1024 * 1024

function isWritable(file: string): boolean {
  try {
    accessSync(dirname(file), constants.W_OK)
    return (statSync(file).mode & 0o222) !== 0
  } catch {
    return false
  }
}

export function configRoutes(app: FastifyInstance, { editing, whoAsks }: AdminParts): void {
  const tags = ['configuration']
  app.get(
    '/v1/config',
    {
      schema: { tags, summary: 'Whether what the file says is in force', response: answers({ 200: STATE }) },
    },
    async (_request, reply) => {
      const state = await editing.state()
      const sha256 = sha256Hex(readFileSync(editing.file, 'utf8'))
      return withTag(reply, sha256).send({
        sha256,
        in_force_sha256: state.sha256,
        in_force: sha256 === state.sha256,
        refused: state.refused,
        writable: isWritable(editing.file),
      })
    },
  )
  app.post<{ Body: string }>(
    '/v1/config/validate',
    {
      bodyLimit: TEXT_MAX,
      schema: {
        tags,
        summary: 'Whether a whole weir.yaml would load, and what it would change',
        consumes: ['application/yaml'],
        response: answers({ 200: VALIDATION }),
      },
    },
    async (request) => {
      needsWrite(whoAsks(request))
      const text = request.body
      if (typeof text !== 'string' || text === '')
        throw new AdminError(400, 'body_malformed', 'there is no text', 'send the file as application/yaml')
      const there = readFileSync(editing.file, 'utf8')
      // A text of others must not make us read files or variables that the file does not read already, nor put what they hold
      // where a problem would tell it.
      const known = referencesOf(there)
      const isStrange = [...referencesOf(text)].some((reference) => !known.has(reference))
      if (isStrange)
        throw new AdminError(
          422,
          'value_refused',
          'the text refers to variables or files at settings where weir.yaml does not',
          'check it with `weir check` on the machine',
        )
      try {
        const { config, warnings } = parseConfig(text, editing.file)
        const before = parseConfig(there, editing.file).config
        return {
          valid: true,
          problems: [],
          warnings,
          changed: changedPaths(before, config),
          needs_restart: restartChanges(before, config),
        }
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        return {
          valid: false,
          problems: error.problems.map(problemOf),
          warnings: [],
          changed: [],
          needs_restart: [],
        }
      }
    },
  )
}
