/**
 * Is this number of pieces believable? Pure; the same limits and the same words as the server (work_orders/rules.py and errors.py): refuse,
 * ask once, or take. A scanned barcode never gets this far, a slip of the thumb does.
 */
import type { Pair } from '@gemba/web_kit/i18n'

export const PIECES_MAX = 999_999
export const ORDER_FACTOR_MAX = 10
const OVER_TOLERANCE = 0.05
const PACE_FACTOR = 1.5
const PACE_FREE_PIECES = 5

export interface Context {
  /** pieces of the operation: planned, and made so far (good + scrap) */
  planned: number
  made: number
  orderQuantity: number
  /** ideal cycle, s a piece; null = not known */
  cycleS: number | null
  /** plant seconds since the last report or the start; null = not known */
  sinceS: number | null
}
export type Verdict = { kind: 'take' } | { kind: 'refuse' | 'ask'; words: Pair; next: Pair }

export function tolerance(planned: number): number {
  return Math.max(1, Math.ceil(planned * OVER_TOLERANCE))
}

/** `value`: pieces said in one act. `adds` false: pieces are only moved (scrap on a machine-counted operation), nothing new is made. */
export function plausible(value: number, context: Context, adds = true): Verdict {
  const shown = value.toLocaleString('en-US').replace(/,/g, ' ')
  if (!Number.isFinite(value) || value < 0 || !Number.isInteger(value) || value > PIECES_MAX) {
    return {
      kind: 'refuse',
      words: [`“${shown}”不是件数：只能是 0 到 999999 的整数。`, `“${shown}” is not a number of pieces: whole numbers from 0 to 999,999.`],
      next: ['请重新输入件数，条码不能当作数量。', 'Enter the pieces again. A scanned barcode never belongs here.'],
    }
  }
  if (value === 0) return { kind: 'refuse', words: ['没有填写件数。', 'No pieces were given.'], next: ['请输入合格、报废或返工件数。', 'Enter good, scrap or rework pieces.'] }
  if (value > ORDER_FACTOR_MAX * context.orderQuantity) {
    return {
      kind: 'refuse',
      words: [`${shown} 件？工单只有 ${context.orderQuantity} 件。`, `${shown} pcs? The order is for ${context.orderQuantity}.`],
      next: ['请重新输入件数。', 'Enter the pieces again.'],
    }
  }
  if (!adds) return { kind: 'take' }
  const next: Pair = [`请更改，或确认 ${shown} 件。`, `Change it, or confirm ${shown} pcs.`]
  const remaining = context.planned - context.made
  if (value > remaining + tolerance(context.planned)) {
    const left = Math.max(0, remaining)
    return { kind: 'ask', words: [`${shown} 件？还剩 ${left} 件。`, `${shown} pcs? ${left} left.`], next }
  }
  if (context.cycleS && context.cycleS > 0 && context.sinceS !== null && context.sinceS >= 0) {
    const possible = context.sinceS / context.cycleS
    if (value > Math.max(PACE_FREE_PIECES, PACE_FACTOR * possible)) {
      const whole = Math.floor(possible)
      return { kind: 'ask', words: [`${shown} 件？自上次报工约可完成 ${whole} 件。`, `${shown} pcs? Since the last report about ${whole} were possible.`], next }
    }
  }
  return { kind: 'take' }
}
