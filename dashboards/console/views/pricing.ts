/** How to give things a price, where a view has nothing to show because none has one. */
import { html } from '../html.ts'

const SERVER = /^[A-Za-z0-9_-]+$/

/** A price of a tool as a line of weir.yaml. Names that YAML could take for something else are quoted. */
export const priceLine = (server: string, tool: string): string => {
  const word = (text: string): string => (SERVER.test(text) ? text : JSON.stringify(text))
  return `- { server: ${word(server)}, ${tool ? `tool: ${word(tool)}, ` : ''}per_call_usd: 0.002 }`
}

export function HowToPrice({ server = '', tool = '' }: { server?: string; tool?: string }) {
  return html`<div class="how">
    <p>Nothing has a price yet, so what calls cost is unknown. Name one in <code>weir.yaml</code>; calls that are stored already get it too:</p>
    <pre class="payload" tabindex="0" aria-label="Lines for weir.yaml">prices:
  ${priceLine(server || 'search', tool)}
  - { per_call_usd: 0 }   # everything else is free</pre>
  </div>`
}
