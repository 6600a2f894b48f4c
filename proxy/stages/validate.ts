/**
 * Arguments and results of tools/call against the schemas that servers give for their tools. Invalid arguments are answered
 * as a result with isError, for the model to read and correct; the server is not asked. `observe` changes nothing and waits
 * for nothing. What cannot be judged (no definition, no usable schema) passes, is counted, and told once; but under
 * `enforce` a tool that a known list does not name is unknown: another spelling of a name must not go unjudged.
 */
import { fits } from '../../config/glob.ts'
import type { Config } from '../../config/schema.ts'
import type { Log } from '../../event/log.ts'
import type { Call } from '../call.ts'
import { decide, noteShadow } from '../decision.ts'
import type { Definition, Definitions, Schema } from '../definitions.ts'
import { toToolResult, WeirError } from '../errors.ts'
import { isRecord } from '../mcp/json.ts'
import type { Stage } from '../pipeline.ts'
import { listed, type Misfit } from '../schema/explain.ts'
import { FITS, type Validator, type Validators, type Verdict } from '../schema/validators.ts'
import { nowUs } from '../telemetry/clock.ts'
import type { Metrics, Series } from '../telemetry/metrics.ts'

const TOLD_MAX = 1_000
/** Since then results have structured content. */
const STRUCTURED_SINCE = '2025-06-18'

type What = 'arguments' | 'results'
type Surroundings = {
  readonly definitions: Definitions
  readonly validators: Validators
  readonly metrics: Metrics
  readonly log: Log
}

export class Validation {
  readonly #config: Config['validation']
  readonly #servers: readonly (readonly string[])[]
  readonly #env: Surroundings
  /** Series of the metric by server. */
  readonly #valid = new Map<string, Series>()

  constructor(config: Config['validation'], env: Surroundings) {
    this.#config = config
    this.#servers = config.servers.map((pattern) => pattern.split('*'))
    this.#env = env
  }

  /** Null when nothing is validated. */
  get stage(): Stage | null {
    const { arguments: args, results } = this.#config
    if (args === 'off' && results === 'off') return null
    this.#env.validators.makeReady()
    return {
      name: 'validate',
      why: 'after access and limits, so that who may not call learns nothing of the schema and pays for each try',
      needs: 'target',
      before: (call) => this.#before(call),
    }
  }

  #concerns(call: Call): boolean {
    return call.method === 'tools/call' && this.#servers.some((pattern) => fits(pattern, call.server))
  }

  #before(call: Call): void | Promise<void> {
    if (!this.#concerns(call)) return
    const { arguments: args, results } = this.#config
    const found = this.#env.definitions.of(call)
    if (!(found instanceof Promise)) return this.#arguments(call, found)
    // It is there for the next call.
    if (args !== 'enforce' && results !== 'enforce') return this.#count(call, 'arguments', 'unknown')
    const started_us = nowUs()
    return found.then((definition) => {
      call.queue_us += nowUs() - started_us
      return this.#arguments(call, definition)
    })
  }

  #arguments(call: Call, definition: Definition | null): void | Promise<void> {
    const mode = this.#config.arguments
    if (mode === 'off') return
    if (!definition) {
      this.#count(call, 'arguments', 'unknown')
      if (mode === 'enforce' && this.#env.definitions.knowsList(call))
        throw new WeirError('tool_unknown', 'its server does not list it')
      return
    }
    const verdict = this.#judgeArguments(call, definition)
    if (verdict.fits) return
    if (mode === 'observe') return this.#shadow(call, 'arguments', verdict.misfit)
    // The tool may have changed since.
    const again = this.#env.definitions.fresh(call)
    if (!(again instanceof Promise)) return this.#refuse(call, definition, again, verdict.misfit)
    const started_us = nowUs()
    return again.then((fresh) => {
      call.queue_us += nowUs() - started_us
      this.#refuse(call, definition, fresh, verdict.misfit)
    })
  }

  #refuse(call: Call, before: Definition, fresh: Definition | null, misfit: Misfit): void {
    let reason = misfit
    if (fresh && fresh.hash !== before.hash) {
      const verdict = this.#judgeArguments(call, fresh)
      if (verdict.fits) return
      reason = verdict.misfit
    }
    this.#count(call, 'arguments', 'invalid')
    decide(call, 'invalid', 'validation.arguments', reason.record)
    throw new WeirError('arguments_invalid', reason.record, { data: { wrong: reason.wrong } })
  }

  #judgeArguments(call: Call, { input }: Definition): Verdict {
    const validator = input && this.#validator(call, 'arguments', input)
    if (!validator) return FITS
    const given = call.message?.params?.arguments
    const verdict = validator.check(given === undefined ? {} : given, call.arguments_json.length)
    if (verdict.fits) this.#countValid(call)
    return verdict
  }

  /** The rewriting of an answer that has to wait for its judgement; null when none has to. */
  judge(call: Call): ((json: string) => string) | null {
    if (this.#config.results !== 'enforce' || !this.#concerns(call)) return null
    const known = this.#env.definitions.get(call)
    if (known && known.output === null) return null
    return (json) => {
      const misfit = this.#misfitOf(call, json)
      if (!misfit) return json
      this.#count(call, 'results', 'invalid')
      // It is judged by the list as it was: the next one by the list as it is.
      void this.#env.definitions.fresh(call)
      decide(call, 'invalid', 'validation.results', misfit.record)
      call.fail('upstream_error', 'upstream', 'result_invalid', misfit.record)
      const error = new WeirError('result_invalid', misfit.record, { data: { wrong: misfit.wrong } })
      return toToolResult(error, call.id!, call.era === 'modern', listed(misfit.wrong))
    }
  }

  /** Looks at an answer that goes on as it is. */
  saw(call: Call, json: string): void {
    if (this.#config.results !== 'observe' || !this.#concerns(call)) return
    const misfit = this.#misfitOf(call, json)
    if (misfit) this.#shadow(call, 'results', misfit)
  }

  #misfitOf(call: Call, json: string): Misfit | null {
    if (call.outcome !== 'ok') return null
    const definition = this.#env.definitions.get(call)
    if (!definition) this.#count(call, 'results', 'unknown')
    const schema = definition?.output
    const validator = schema && this.#validator(call, 'results', schema)
    if (!validator) return null
    const result = resultOf(json)
    // Failures have no structure to keep, and a task has not ended yet.
    if (!result || result.isError === true || result.task !== undefined) return null
    if (result.resultType !== undefined && result.resultType !== 'complete') return null
    const value = result.structuredContent
    if (value === undefined) return call.upstream_protocol_version < STRUCTURED_SINCE ? null : MISSING
    const verdict = validator.check(value, json.length)
    if (!verdict.fits) return verdict.misfit
    this.#count(call, 'results', 'valid')
    return null
  }

  #validator(call: Call, what: What, { hash, value, fault }: Schema): Validator | null {
    if (fault !== '') return this.#unusable(call, what, hash, `its text is ${fault}`)
    const validator = this.#env.validators.of(call.server, hash, value)
    if (validator.fault !== '') return this.#unusable(call, what, hash, validator.fault)
    if (validator.skipped.length > 0)
      this.#tell(call, what, hash, 'patterns of a schema are not checked', validator.skipped.join('; '))
    return validator
  }

  #unusable(call: Call, what: What, hash: string, why: string): null {
    this.#count(call, what, 'unusable')
    this.#tell(call, what, hash, 'a schema cannot be used: calls of the tool are not validated', why)
    return null
  }

  #tell(call: Call, what: What, hash: string, message: string, why: string): void {
    const { log } = this.#env
    const { told } = this.#env.validators
    const key = `${call.server} ${call.tool} ${hash} ${message}`
    if (told.has(key) || told.size >= TOLD_MAX) return
    told.add(key)
    log.warn(message, { server: call.server, tool: call.tool.slice(0, 200), what, why })
  }

  #shadow(call: Call, what: What, { record }: Misfit): void {
    this.#count(call, what, 'invalid')
    noteShadow(call, `validation.${what}`)
    call.decision!.facts[`validation.${what}`] = record
  }

  /** What happens to nearly every call. */
  #countValid({ server }: Call): void {
    let series = this.#valid.get(server)
    if (!series) {
      series = this.#env.metrics.series('weir_validations_total', [server, 'arguments', 'valid'])
      this.#valid.set(server, series)
    }
    series.value++
  }

  #count(call: Call, what: What, result: 'valid' | 'invalid' | 'unknown' | 'unusable'): void {
    this.#env.metrics.add('weir_validations_total', 1, [call.server, what, result])
  }
}

const MISSING: Misfit = {
  wrong: [{ path: '', expected: 'structuredContent is required: the tool has an output schema' }],
  record: '/: structuredContent is missing',
}

function resultOf(json: string): Record<string, unknown> | null {
  try {
    const message: unknown = JSON.parse(json)
    return isRecord(message) && isRecord(message.result) ? message.result : null
  } catch {
    return null
  }
}
