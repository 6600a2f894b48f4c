/**
 * What rules may know of a call. Classes, because CEL knows their fields by class and refuses a misspelt one when the config loads.
 * Pure data; whoever judges a call fills it in.
 */

export class CallerFacts {
  readonly name: string
  readonly team: string
  readonly project: string
  readonly principal: string
  readonly auth_method: string
  readonly roles: readonly string[]
  readonly tags: Readonly<Record<string, string>>
  constructor(of: CallerFacts) {
    this.name = of.name
    this.team = of.team
    this.project = of.project
    this.principal = of.principal
    this.auth_method = of.auth_method
    this.roles = of.roles
    this.tags = of.tags
  }
}

/** Hints of the server of what a tool does. Hints: a server that lies is believed. */
export class AnnotationFacts {
  readonly read_only: boolean
  readonly destructive: boolean
  readonly idempotent: boolean
  readonly open_world: boolean
  /** `hints`: `annotations` of a tool definition; what it does not say is as the specification assumes. */
  constructor(hints: Readonly<Record<string, unknown>>) {
    this.read_only = hints.readOnlyHint === true
    this.destructive = !this.read_only && hints.destructiveHint !== false
    this.idempotent = this.read_only || hints.idempotentHint === true
    this.open_world = hints.openWorldHint !== false
  }
}
/** What is known when no server said otherwise. */
export const UNANNOTATED = new AnnotationFacts({})

/** `hints`: whatever stands where the annotations of a tool should. */
export const annotationsOf = (hints: unknown): AnnotationFacts =>
  typeof hints === 'object' && hints !== null && !Array.isArray(hints)
    ? new AnnotationFacts(hints as Record<string, unknown>)
    : UNANNOTATED

export class ToolFacts {
  readonly server: string
  readonly name: string
  readonly annotations: AnnotationFacts
  constructor(server: string, name: string, annotations: AnnotationFacts) {
    this.server = server
    this.name = name
    this.annotations = annotations
  }
}

export class PromptFacts {
  readonly server: string
  readonly name: string
  constructor(server: string, name: string) {
    this.server = server
    this.name = name
  }
}

export class ResourceFacts {
  readonly server: string
  readonly uri: string
  constructor(server: string, uri: string) {
    this.server = server
    this.uri = uri
  }
}

/** What the client says it is. */
export class ClientFacts {
  readonly name: string
  readonly version: string
  constructor(name: string, version: string) {
    this.name = name
    this.version = version
  }
}

export const NO_TOOL = new ToolFacts('', '', UNANNOTATED)
export const NO_PROMPT = new PromptFacts('', '')
export const NO_RESOURCE = new ResourceFacts('', '')
export const NO_CLIENT = new ClientFacts('', '')

export type Facts = {
  readonly caller: CallerFacts
  readonly server: string
  readonly method: string
  readonly tool: ToolFacts
  readonly prompt: PromptFacts
  readonly resource: ResourceFacts
  /** Arguments of a tool or prompt; null when the call has some that are no object. */
  readonly args: Readonly<Record<string, unknown>> | null
  /** Size of the arguments as JSON. Not a variable of rules: what a look at them costs. */
  readonly args_bytes: number
  readonly client: ClientFacts
  readonly now: Date
}
