import { describe, expect, it } from 'vitest'
import { createAdmission } from '../../store/admission.ts'

const here = () => new AbortController().signal

describe('admission', () => {
  it('keeps places for writers that readers never take', async () => {
    const admission = createAdmission(4, 10)
    for (let i = 0; i < 3; i++) await admission.enter('reader', here())
    let isReaderIn = false
    void admission.enter('reader', here()).then(() => {
      isReaderIn = true
    })
    await admission.enter('writer', here())
    expect(isReaderIn).toBe(false)
    expect(admission.snapshot()).toEqual({ running: 4, readers: 3, waiting: 1 })
  })

  it('lets writers in before readers that came earlier', async () => {
    const admission = createAdmission(2, 10)
    const order: string[] = []
    const release = await admission.enter('writer', here())
    await admission.enter('writer', here())
    const entered = [
      admission.enter('reader', here()).then(() => order.push('reader')),
      admission.enter('writer', here()).then((leave) => {
        order.push('writer')
        leave()
      }),
    ]
    release()
    await Promise.all(entered)
    expect(order).toEqual(['writer', 'reader'])
  })

  it('refuses with code 202 when the queue is full, for each role apart', async () => {
    const admission = createAdmission(2, 1)
    await admission.enter('writer', here())
    await admission.enter('writer', here())
    void admission.enter('reader', here())
    await expect(admission.enter('reader', here())).rejects.toMatchObject({ code: 202 })
    void admission.enter('writer', here())
    await expect(admission.enter('writer', here())).rejects.toMatchObject({ code: 202 })
  })

  it('forgets who left the queue', async () => {
    const admission = createAdmission(2, 5)
    const releases = [await admission.enter('writer', here()), await admission.enter('writer', here())]
    const gone = new AbortController()
    const left = admission.enter('writer', gone.signal)
    gone.abort()
    await expect(left).rejects.toMatchObject({ code: 394 })
    for (const release of releases) release()
    expect(admission.snapshot()).toEqual({ running: 0, readers: 0, waiting: 0 })
  })

  it('counts a place given back twice once', async () => {
    const admission = createAdmission(2, 5)
    const release = await admission.enter('reader', here())
    release()
    release()
    expect(admission.snapshot()).toEqual({ running: 0, readers: 0, waiting: 0 })
  })

  it('never exceeds its places and never starves, whatever comes', async () => {
    const admission = createAdmission(5, 1000)
    let inside = 0
    let most = 0
    const visit = async (i: number) => {
      const release = await admission.enter(i % 3 === 0 ? 'writer' : 'reader', here())
      inside++
      most = Math.max(most, inside)
      for (let turn = 0; turn < i % 7; turn++) await Promise.resolve()
      inside--
      release()
    }
    await Promise.all(Array.from({ length: 500 }, (_, i) => visit(i)))
    expect(most).toBeGreaterThan(3)
    expect(most).toBeLessThanOrEqual(5)
    expect(admission.snapshot()).toEqual({ running: 0, readers: 0, waiting: 0 })
  })
})
