/** The band at the foot of the screen: what just happened, in colour, shape and words, with the tone that belongs to it. */
import { feel, type Feel } from '@gemba/web_kit/sound/feedback'
import type { Pair } from '@gemba/web_kit/i18n'
import { ApiError } from '@gemba/web_kit/api/problem'
import { shallowRef } from 'vue'

export type BandTone = 'ok' | 'ask' | 'error'
export interface Band {
  id: number
  tone: BandTone
  words: Pair
  /** smaller second line: what to do */
  next?: Pair
}

const SHOWN_MS: Record<BandTone, number> = { ok: 4000, ask: 8000, error: 0 } // an error stays until it is read (gloves are slow)
export const band = shallowRef<Band | null>(null)
let timer = 0
let count = 0

export function showBand(tone: BandTone, words: Pair, next?: Pair, sound?: Feel): void {
  window.clearTimeout(timer)
  band.value = { id: ++count, tone, words, ...(next ? { next } : {}) }
  feel(sound ?? tone)
  if (SHOWN_MS[tone] > 0) timer = window.setTimeout(() => (band.value = null), SHOWN_MS[tone])
}

export function clearBand(): void {
  window.clearTimeout(timer)
  band.value = null
}

/** A server's problem: title and next step in the language they came in. */
export function showProblem(error: ApiError | { title: string; next_step: string }): void {
  const { title, next_step: next } = error instanceof ApiError ? error.problem : error
  showBand('error', [title, title], next ? [next, next] : undefined)
}
