/**
 * Every scan of every source (wedge, camera, typed code) comes through here: drops repeats, then hands the code to the screen on top.
 * Pure but for the clock it is given; knows no screen.
 */
import { readCode, type Read } from './codes'

export type Arrival = { kind: 'code'; read: Read } | { kind: 'again'; raw: string } | { kind: 'chatter' } | { kind: 'misread'; raw: string }

/** A scanner's double trigger or a camera that still sees the label: silently one. */
export const CHATTER_MS = 800
/** The same code within this time is once, and the person is told so. */
export const AGAIN_MS = 2000

export class ScanRouter {
  private lastRaw = ''
  private lastAt = -Infinity

  /** `at`: monotonic ms. The window starts at the last code that was taken, so a label held before the camera stays "once". */
  arrive(text: string, at: number): Arrival {
    const raw = text.replace(/^[\r\n\t ]+|[\r\n\t ]+$/g, '')
    if (raw === this.lastRaw) {
      const since = at - this.lastAt
      if (since < CHATTER_MS) return { kind: 'chatter' }
      if (since < AGAIN_MS) return { kind: 'again', raw }
    }
    this.lastRaw = raw
    this.lastAt = at
    return { kind: 'code', read: readCode(raw) }
  }

  misread(text: string): Arrival {
    return { kind: 'misread', raw: text }
  }

  /** After an undo or a refused scan the same code may be meant again. */
  forget(): void {
    this.lastRaw = ''
  }
}
