/** Markup of the console: tagged templates that make preact nodes. Text is always text: nothing here takes markup from data. */
import htm from 'htm'
import { type ComponentChildren, h, type VNode } from 'preact'

export const html = htm.bind(h) as unknown as (strings: TemplateStringsArray, ...values: unknown[]) => VNode
export type Children = ComponentChildren
