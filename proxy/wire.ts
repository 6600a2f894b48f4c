/**
 * Builds a worker's objects by hand, in the order data flows. A reload builds a new set and swaps one reference;
 * servers that did not change keep their connections. No globals, no container.
 */
import { hostOf, portOf } from '../config/address.ts'
import { moneyOptions } from '../config/price-book.ts'
import { hasRights } from '../config/rights.ts'
import { RuleSet } from '../config/ruleset.ts'
import type { Config } from '../config/schema.ts'
import { makeLog } from '../event/log.ts'
import { Access } from './access.ts'
import type { Call } from './call.ts'
import { Capture } from './capture.ts'
import { Catalogue, type CatalogueOptions } from './catalogue.ts'
import { Definitions } from './definitions.ts'
import { streamsPossible } from './descriptors.ts'
import { hopToOwner } from './downstream/hop.ts'
import { Downstream } from './downstream/http.ts'
import type { Wiring } from './downstream/wiring.ts'
import { Gate } from './gate.ts'
import { SessionSeal } from './identity/session-id.ts'
import { Limiting } from './limits/limiting.ts'
import type { KeeperLink } from './limits/purses.ts'
import { mayHear } from './list-filter.ts'
import { ListedPrompts } from './listed-prompts.ts'
import { type Cancelled, cancelledBy, OpenCalls } from './open-calls.ts'
import { localSocket, type WorkerOptions, workerSocket } from './options.ts'
import { plainPages } from './pages.ts'
import { runStages, type Stage } from './pipeline.ts'
import { type News, Questions } from './questions.ts'
import { Recorder } from './record.ts'
import { ReportedCosts } from './reported-costs.ts'
import { Roof } from './roof/roof.ts'
import { memberHeaders, RoofSessions } from './roof/session.ts'
import type { RoofSurroundings } from './roof/surroundings.ts'
import { Validators } from './schema/validators.ts'
import { type Route, Server } from './serve.ts'
import { ServerEndpoint } from './server-endpoint.ts'
import { SpoolWriter } from './spool/writer.ts'
import { admit } from './stages/admit.ts'
import { authorize } from './stages/authorize.ts'
import { disambiguate } from './stages/disambiguate.ts'
import { intend } from './stages/intend.ts'
import { meter } from './stages/meter.ts'
import { reach } from './stages/reach.ts'
import { streamTracer, trace } from './stages/trace.ts'
import { understand } from './stages/understand.ts'
import { Validation } from './stages/validate.ts'
import { nowUs } from './telemetry/clock.ts'
import { holdHandles, runRules } from './telemetry/clues.ts'
import { configSecrets } from './telemetry/config-secrets.ts'
import { handleSeed } from './telemetry/handles.ts'
import { InferredRuns, type RunNews } from './telemetry/inferred-runs.ts'
import { Metrics, type Snapshot } from './telemetry/metrics.ts'
import { ProcessFigures } from './telemetry/process-figures.ts'
import { makeRedactor } from './telemetry/redact.ts'
import { gatherNews } from './telemetry/run-news.ts'
import { Deadlines } from './upstream/deadline.ts'
import { readPromptList, readToolList } from './upstream/lists.ts'
import { Upstream } from './upstream/upstream.ts'

const SWEEP_MS = 60_000
/** How long the sockets of calls that were cut may take to say so. */
const CUT_MS = 20
/** The spool's budget is at least this many segments, so that giving one up frees little. */
const SEGMENTS_MIN = 8

/** How a worker reaches the others, through whoever supervises them. */
export type WorkerLink = {
  /** Tells of segments sealed, of cancels for calls that are not here, and of runs seen. */
  tell(topic: 'sealed' | 'cancelled' | 'runs', argument?: unknown): void
  /** Asks all other workers; resolves true when one of them said so. */
  askOthers(question: 'question', argument: unknown): Promise<boolean>
  /** The keeper of what limits count. */
  readonly limits: KeeperLink
}

export class Worker {
  readonly #options: WorkerOptions
  readonly #link: WorkerLink
  readonly #spool: SpoolWriter
  readonly #metrics = new Metrics()
  readonly #figures = new ProcessFigures()
  readonly #recorder: Recorder
  readonly #catalogue: Catalogue
  /** What servers say of their tools; kept over a reload for servers that stay. */
  readonly #definitions = new Definitions(readToolList)
  readonly #prompts = new ListedPrompts(readPromptList)
  /** What the rules in force let callers see; null without rules. */
  #gate: Gate | null = null
  readonly #validators = new Validators()
  readonly #server: Server
  readonly #downstream: Downstream
  readonly #seal: SessionSeal
  readonly #runs = new InferredRuns()
  /** Key of the hashes by which handles are known. */
  readonly #seed: number
  readonly #open = new OpenCalls()
  readonly #questions: Questions
  readonly #deadlines = new Deadlines()
  readonly #sessions: RoofSessions
  readonly #access: Access
  readonly #sweep: NodeJS.Timeout
  readonly #costs: ReportedCosts
  readonly #limiting: Limiting
  #upstreams = new Map<string, Upstream>()
  #wiring: Wiring
  config: Config

  constructor(options: WorkerOptions, link: WorkerLink) {
    this.#options = options
    this.#link = link
    this.config = options.config
    const { config } = options
    this.#seed = handleSeed(options.secrets.hash)
    if (config.workers > 1) this.#runs.onNews = gatherNews((news) => link.tell('runs', news))
    this.#spool = new SpoolWriter(
      {
        folder: options.spool_folder,
        worker_id: options.worker_id,
        segment_bytes: Math.min(
          config.spool.segment_bytes,
          Math.floor(config.spool.max_bytes / SEGMENTS_MIN),
        ),
        segment_age_ms: config.spool.segment_age_ms,
      },
      () => link.tell('sealed'),
    )
    this.#recorder = new Recorder(
      { instance: config.instance, worker: options.slot, env: config.env },
      this.#spool,
      this.#metrics,
      this.#capture(config),
    )
    this.#limiting = new Limiting(link.limits, this.#recorder, this.#metrics)
    this.#catalogue = new Catalogue(this.#spool, this.#catalogueOptions(config))
    this.#server = new Server(
      this.#recorder,
      this.#metrics,
      makeLog(`proxy/${options.slot}`, config.log.level),
    )
    this.#costs = new ReportedCosts(this.#metrics, this.#server.log)
    this.#access = new Access(this.#server.log, this.#metrics)
    const { sessions_max, session_idle_ms, session_max_age_ms, sessions_per_caller_max } = config.http
    this.#seal = new SessionSeal(Buffer.from(options.secrets.session, 'hex'), session_max_age_ms)
    this.#sessions = new RoofSessions(sessions_max, session_idle_ms, sessions_per_caller_max)
    this.#questions = new Questions({
      record: (event) => this.#server.record(event),
      sawMessage: (server, json) => this.#sawMessage(server, json),
      capture: () => this.#recorder.capture,
      traceStream: (event) => streamTracer(this.config, this.#runs, this.#seed)(event),
      hasOthers: () => this.config.workers > 1,
      tellOthers: (news) => link.askOthers('question', news),
    })
    this.#sweep = setInterval(() => {
      this.#sessions.sweep()
      this.#questions.sweep()
    }, SWEEP_MS).unref()
    this.#wiring = this.#wire(config)
    this.#downstream = new Downstream(
      this.#server,
      () => this.#wiring,
      this.#seal,
      options.slot,
      (slot) => workerSocket(options.run_folder, slot),
    )
  }

  /** Listens for clients, at every listener of the config and for `weir connect`, and for other workers. Resolves with the ports. */
  async listen(): Promise<number[]> {
    const { run_folder, slot } = this.#options
    await this.#downstream.listen({ kind: 'workers', path: workerSocket(run_folder, slot) })
    await this.#downstream.listen({ kind: 'local', path: localSocket(run_folder) })
    const ports: number[] = []
    for (const [listener, { address, tls }] of this.config.listen.entries()) {
      const at = { host: hostOf(address), port: portOf(address), listener, tls }
      ports.push(await this.#downstream.listen({ kind: 'tcp', ...at }))
    }
    return ports
  }

  /** Swaps in a new config whole, or throws and keeps the old one. */
  reload(config: Config): void {
    const before = this.#upstreams
    this.#downstream.adoptTls(config.listen)
    const wiring = this.#wire(config)
    this.#wiring = wiring
    this.config = config
    this.#sessions.per_caller_max = config.http.sessions_per_caller_max
    this.#recorder.capture = this.#capture(config)
    this.#catalogue.options = this.#catalogueOptions(config)
    void this.#downstream.recheck()
    // Calls that were on their way when the config changed still go to the server they were meant for.
    for (const [name, upstream] of before)
      if (this.#upstreams.get(name) !== upstream)
        setTimeout(() => void upstream.close(), config.http.drain_timeout_ms).unref()
  }

  /** Another worker was told that the client no longer waits for a call that may be here. */
  cancelled(call: Cancelled): void {
    this.#open.cancel(call)
  }

  /** Another worker has seen calls of runs. */
  heardOfRuns(news: readonly RunNews[]): void {
    const now_us = nowUs()
    for (const one of news) this.#runs.heard(one, now_us)
  }

  /** Another worker has learned what became of a question that may be here. True when it was, and its event is written. */
  heardOfQuestion(news: News): boolean {
    return this.#questions.tell(news)
  }

  /** Another worker needs what is free here of a key. */
  recallLimit(key: string): void {
    this.#limiting.recall(key)
  }

  set isSpoolFull(isFull: boolean) {
    this.#spool.isFull = isFull
  }

  snapshot(): Snapshot {
    const slot = [this.#options.slot]
    this.#metrics.set('weir_calls_open', this.#downstream.calls_open, slot)
    this.#metrics.set('weir_streams_open', this.#downstream.streams_open, slot)
    this.#metrics.set('weir_server_requests_open', this.#questions.size, slot)
    this.#metrics.set('weir_events_written_total', this.#spool.written)
    for (const [reason, events] of Object.entries(this.#spool.losses.counts))
      this.#metrics.set('weir_events_lost_total', events, [reason])
    this.#figures.into(this.#metrics, this.#options.slot)
    return this.#metrics.snapshot()
  }

  async drain(): Promise<void> {
    clearInterval(this.#sweep)
    await this.#downstream.drain(this.config.http.drain_timeout_ms)
    await Promise.all([...this.#upstreams.values()].map((u) => u.destroy()))
    // Calls that were cut are recorded as their sockets close; the spool is the last to go.
    await new Promise((resolve) => setTimeout(resolve, CUT_MS))
    this.#questions.drain()
    this.#catalogue.finish()
    this.#limiting.finish()
    this.#spool.close()
  }

  #capture(config: Config): Capture {
    return new Capture(
      config.capture,
      makeRedactor(config.capture.redact, configSecrets(config)),
      this.#options.secrets.hash,
    )
  }

  /** After the recorder: what is masked in payloads is masked in definitions. */
  #catalogueOptions(config: Config): CatalogueOptions {
    return { redact: this.#recorder.capture.redact, keepsText: config.capture.definitions }
  }

  #wire(config: Config): Wiring {
    const upstreams = new Map<string, Upstream>()
    for (const [name, server] of Object.entries(config.servers)) {
      const known = this.#upstreams.get(name)
      const isSame = known && JSON.stringify(known.config) === JSON.stringify(server)
      upstreams.set(name, isSame ? known : new Upstream(name, server, this.#options.host_socket))
    }
    const isSame = (name: string): boolean => upstreams.get(name) === this.#upstreams.get(name)
    this.#definitions.forget(isSame)
    this.#prompts.forget(isSame)
    this.#upstreams = upstreams
    const access = this.#access.wire(config)
    const gate = hasRights(config)
      ? new Gate(new RuleSet(config.rules), this.#definitions, this.#prompts)
      : null
    this.#gate = gate
    const { prices } = moneyOptions(config)
    const metering = meter(prices)
    const limiting = this.#limiting.stage(config, prices, metering)
    const validation = this.#validation(config)
    const target = [gate && authorize(gate), ...access.entitle, limiting, validation.stage, metering].filter(
      (stage) => stage !== null,
    )
    if (config.durability === 'strict') target.push(intend(this.#recorder))
    this.#definitions.isWanted = target.some(({ name }) => name === 'authorize' || name === 'validate')
    const env = this.#surroundings(config, target, { validation, limiting, gate })
    const routes = new Map<string, Route>()
    const roof = new Roof(config, upstreams, env)
    routes.set(roof.endpoint.path, roof)
    for (const upstream of upstreams.values()) {
      const route = new ServerEndpoint(upstream, this.#seal, env)
      routes.set(route.endpoint.path, route)
    }
    const message = understand(this.#seal)
    // What is judged here must not read otherwise at a server.
    const isJudged =
      gate !== null ||
      limiting !== null ||
      access.entitle.length > 0 ||
      config.validation.arguments === 'enforce'
    const stages = config.listen.map(({ address, trace: { incoming = config.trace.incoming } }, i) => ({
      head: [admit(config.http, address), access.identify[i]!, ...(gate ? [reach(gate)] : [])],
      params: [message, trace(config, this.#runs, incoming, this.#seed), ...(isJudged ? [disambiguate] : [])],
      target,
    }))
    return {
      routes,
      stages,
      body_max_bytes: config.http.body_max_bytes,
      batch_max: config.http.batch_max,
      streams_max: Math.max(1, Math.min(config.http.streams_max, streamsPossible())),
      sessions_per_caller_max: config.http.sessions_per_caller_max,
      page_headers: Object.values(config.labels).flatMap((label) => label.header?.toLowerCase() ?? []),
      reached: ({ identity, endpoint: { server } }) =>
        (server === '' ? [...upstreams.keys()] : [server]).filter(
          (name) => gate?.reaches(identity!, name) ?? true,
        ),
      resourceMetadata: access.resourceMetadata,
      plain: plainPages(upstreams, () => this.#downstream.isDraining),
    }
  }

  #validation({ validation }: Config): Validation {
    return new Validation(validation, {
      definitions: this.#definitions,
      validators: this.#validators,
      metrics: this.#metrics,
      log: this.#server.log,
    })
  }

  #surroundings(
    config: Config,
    target: readonly Stage[],
    { validation, limiting, gate }: { validation: Validation; limiting: Stage | null; gate: Gate | null },
  ): RoofSurroundings {
    const server = this.#server
    const recorder = this.#recorder
    const isHashing = config.capture.results === 'hash'
    const trusted = new Set(
      Object.keys(config.servers).filter((name) => config.servers[name]!.price?.reported),
    )
    const rules = runRules(config, this.#seed)
    return {
      server,
      seal: this.#seal,
      cursorKey: Buffer.from(this.#options.secrets.session, 'hex'),
      sessions: this.#sessions,
      catalogue: this.#catalogue,
      definitions: this.#definitions,
      slot: this.#options.slot,
      hop: (call, owner) => hopToOwner(call, workerSocket(this.#options.run_folder, owner)),
      passTarget: (call) => runStages(target, call),
      passRoof: (call) => limiting?.before(call),
      record: (call) => {
        server.record(call)
        this.#questions.over(call)
      },
      recordThen: (call, then) => {
        if (call.awaited === null) server.recordThen(call, then)
        else void call.awaited.then(() => server.recordThen(call, then))
      },
      refuse: (call, error) => server.refuse(call, error),
      errorText: (call, error) => server.errorText(call, error),
      hashResult: isHashing ? (bytes, begun) => recorder.capture.digestBytes(bytes, begun) : null,
      beginHash: () => recorder.capture.beginDigest(),
      sawResult: (call, text) => {
        if (recorder.capture.keeps(call).results) call.captured_result = recorder.capture.mask(text)
        if (trusted.has(call.server)) this.#costs.take(call, text)
        if (call.inferred) holdHandles(call, text, rules)
        if (call.outcome === 'input_required') this.#questions.required(call, text)
        validation.saw(call, text)
        if (call.endpoint.server === '') return
        this.#catalogue.answered(call, text)
        this.#definitions.answered(call, text)
      },
      judged: (call, hooks) => {
        const judge = validation.judge(call)
        if (judge === null) return hooks
        const { result } = hooks
        return { ...hooks, result: result === null ? judge : (json) => result(judge(json)) }
      },
      cancel: (call, upstream, reason) => this.#cancel(call, upstream, reason),
      cancelled: (notice) => {
        const call = cancelledBy(notice)
        if (call && !this.#open.cancel(call) && config.workers > 1) this.#link.tell('cancelled', call)
      },
      open: this.#open,
      gate,
      mayHear: (call, from, json) => this.#gate === null || mayHear(this.#gate, call, from, json),
      sawMessage: (from, json) => this.#sawMessage(from, json),
      questions: this.#questions,
      deadlines: this.#deadlines,
    }
  }

  #sawMessage(server: string, json: string): void {
    this.#definitions.heard(server, json)
    this.#prompts.heard(server, json)
  }

  /** A legacy server learns by a message that nobody waits any more; a modern one by the closed stream. */
  #cancel(call: Call, upstream: Upstream, reason: string): void {
    if (call.era !== 'legacy' || call.kind !== 'request' || call.method === 'initialize') return
    const member = { id: call.upstream_session, version: call.upstream_protocol_version }
    upstream.tell(
      'POST',
      memberHeaders(upstream, call.identity!.caller, member),
      ServerEndpoint.cancelBody(call, reason),
    )
  }
}
