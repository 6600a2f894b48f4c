/** What a program of agents is told to do (agent-program.ts), and the cases the inference is measured on. Data only. */

/** One agent: a client of an official SDK with a task. */
export type AgentPlan = {
  /** What it says of itself, in a header that the inference does not read. */
  truth: string
  client: string
  sdk: 'v1' | 'v2'
  seed: number
  /** Tool calls it makes. */
  steps: number
  think_ms: [min: number, max: number]
  start_ms: number
  /** Endpoints; several: a client for each, connected at once. */
  urls: string[]
  /** Share of steps that are several calls at once, and how many those are; without it 0.2 and 3. */
  fanOut?: { share: number; calls: number }
  /** Share of calls that use nothing found before; without it 0.35. */
  fresh?: number
  /** So many times it makes a call that fails, at once after each failure, before it goes on. */
  storm?: number
  /** After this many steps it is silent for so long; longer than the gap, what follows is another run. */
  pause?: { after: number; ms: number; isNewRun: boolean }
  /** A new client for every tool call, as some adapters do. */
  isClientPerCall?: boolean
  /** Request ids that count nothing. */
  hasOpaqueIds?: boolean
  /** Sends a W3C trace context of its own. */
  hasTrace?: boolean
}
export type ProgramPlan = { headers: Record<string, string>; agents: AgentPlan[] }

/** Where a case's clients connect. */
export type Way = 'direct' | 'shared' | 'sessions' | 'two'
export type Case = {
  name: string
  way: Way
  /** Each list is a process. */
  processes: Omit<AgentPlan, 'urls'>[][]
  /** Whether the inference was shaped without looking at it. */
  isHeldOut: boolean
  /** Whether the requests hold something that tells its agents apart, other than the moment they come. */
  hasClue: boolean
  /** What is right does not depend on which of two agents comes first: a test may hold it to a floor. */
  isDeterministic: boolean
}

export const GAP_MS = 8_000
const THINK: [number, number] = [30, 250]

export function cases(seed: number, steps: number): Case[] {
  let agents = 0
  const agent = (client: string, more: Partial<AgentPlan> = {}): Omit<AgentPlan, 'urls'> => ({
    truth: `${client}/${++agents}`,
    client,
    sdk: 'v2',
    seed: seed * 1000 + agents,
    steps: steps + (agents % 5),
    think_ms: THINK,
    start_ms: (agents % 4) * 800,
    ...more,
  })
  const many = <T>(count: number, make: (i: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => make(i))
  const own = (
    name: string,
    processes: Omit<AgentPlan, 'urls'>[][],
    isDeterministic = true,
    way: Way = 'direct',
  ): Case => ({
    name,
    way,
    processes,
    isHeldOut: false,
    hasClue: true,
    isDeterministic,
  })
  const heldOut = (name: string, processes: Omit<AgentPlan, 'urls'>[][], hasClue = true): Case => ({
    ...own(name, processes, false),
    isHeldOut: true,
    hasClue,
  })
  const long = { after: 4, ms: GAP_MS * 1.7, isNewRun: true }
  const short = { after: 4, ms: GAP_MS * 0.5, isNewRun: false }
  return [
    own('one agent', [[agent('solo')]]),
    own('one agent, a pause shorter than the gap', [[agent('short', { pause: short })]]),
    own('one agent, a pause longer than the gap', [[agent('long', { pause: long })]]),
    own(
      'three agents, one after the other, one process',
      [many(3, (i) => agent('serial', { start_ms: i * (steps + 5) * 400 }))],
      false,
    ),
    own(
      'four at once, each its own client name',
      many(4, (i) => [agent(`named-${i}`)]),
    ),
    own(
      'four at once, one client name, own processes',
      many(4, () => [agent('crowd')]),
      false,
    ),
    own(
      'the same, all starting in one moment',
      many(4, () => [agent('rush', { start_ms: 0 })]),
      false,
    ),
    own(
      'four at once, one client name, SDK v1 without sessions',
      many(4, () => [agent('crowd-v1', { sdk: 'v1' })]),
      false,
    ),
    own('four at once, one client name, one process', [many(4, () => agent('pool'))], false),
    own(
      'four in step, one process: equal start, equal pauses',
      [many(4, () => agent('step', { start_ms: 0, think_ms: [100, 100], steps }))],
      false,
    ),
    own(
      'three at once with two servers each',
      many(3, () => [agent('pair')]),
      false,
      'two',
    ),
    own('one agent, a new client for every call', [[agent('per-call', { isClientPerCall: true })]], false),
    own(
      'three at once, ids that count nothing',
      many(3, () => [agent('opaque', { hasOpaqueIds: true })]),
      false,
    ),
    own(
      'four at once behind a proxy that shares connections',
      many(4, () => [agent('shared')]),
      false,
      'shared',
    ),
    own(
      'four at once with trace context',
      many(4, () => [agent('traced', { hasTrace: true })]),
    ),
    own(
      'four at once with sessions (SDK v1)',
      many(4, () => [agent('session', { sdk: 'v1' })]),
      true,
      'sessions',
    ),
    heldOut(
      'three that fan out to five calls at a time',
      many(3, () => [agent('fan', { fanOut: { share: 0.7, calls: 5 }, steps: 2 * steps })]),
    ),
    heldOut(
      'three whose calls fail and are repeated at once',
      many(3, () => [agent('storm', { storm: 4 })]),
    ),
    heldOut(
      'three that think long',
      many(3, () => [agent('slow', { think_ms: [GAP_MS / 10, GAP_MS / 2], steps: Math.ceil(steps / 2) })]),
    ),
    heldOut('two of unequal pace, started together', [
      [agent('uneven', { start_ms: 0, think_ms: [10, 40], steps: 3 * steps })],
      [agent('uneven', { start_ms: 0, think_ms: [400, 900] })],
    ]),
    heldOut(
      'two after each other, own processes',
      many(2, (i) => [agent('relay', { start_ms: i * (steps + 5) * 400 })]),
    ),
    heldOut('two in turn, one process, mostly with what they found', [
      many(2, (i) => agent('turns', { start_ms: i * 400, think_ms: [700, 900], fresh: 0.1 })),
    ]),
    heldOut(
      'two in turn, one process, nothing that they found',
      [many(2, (i) => agent('blind', { start_ms: i * 400, think_ms: [700, 900], fresh: 1 }))],
      false,
    ),
  ]
}
