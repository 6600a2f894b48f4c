/** Asks before something is done, and says why it could not be. The browser keeps the focus inside, and Escape means no. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { Refused } from './api.ts'
import { type Children, html } from './html.ts'

type AskProps = {
  title: string
  /** What the button says that does it. */
  action: string
  /** Stays open, with the reason, when this fails. */
  onYes(): Promise<unknown>
  onClose(): void
  children?: Children
}

export function Ask({ title, action, onYes, onClose, children }: AskProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [error, setError] = useState<Refused | null>(null)
  const [isBusy, setBusy] = useState(false)
  useEffect(() => dialog.current?.showModal(), [])
  const act = (): void => {
    setBusy(true)
    setError(null)
    onYes().then(onClose, (reason: unknown) => {
      setBusy(false)
      setError(
        reason instanceof Refused ? reason : new Refused(0, 'defect', String(reason), 'reload the page'),
      )
    })
  }
  return html`<dialog ref=${dialog} class="help ask" aria-label=${title} onClose=${onClose}>
    <h2>${title}</h2>
    ${children}
    ${error && html`<p class="state error" role="alert"><strong>${error.message}</strong><span>${error.fix}</span></p>`}
    <div class="line">
      <button type="button" onClick=${() => dialog.current?.close()}>Back</button>
      <button type="button" class="primary" disabled=${isBusy} onClick=${act}>${action}</button>
    </div>
  </dialog>`
}
