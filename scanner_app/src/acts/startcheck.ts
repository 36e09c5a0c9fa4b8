/** May this operation start here and now? One line a check, pure: the words are made by the sheet. */
import type { Operation } from '@gemba/web_kit/api/types'
import type { WordKey } from '../sheetwords'

export interface Check {
  ok: boolean
  /** false: shown, but does not forbid the start */
  blocks: boolean
  word: WordKey
  params: Record<string, string | number>
}
export interface Situation {
  operation: (Operation & { held?: boolean }) | null
  orderStatus: string | null
  /** machines of this station */
  here: string[]
  machine: string | null
  person: string
  mayStart: boolean
  loaded: string[]
  statusWord: (status: string) => string
}

const ENDED = ['completed', 'skipped', 'aborted']
const ORDER_OPEN = ['released', 'in_progress']

export function checks(now: Situation): Check[] {
  const out: Check[] = []
  const add = (ok: boolean, blocks: boolean, word: WordKey, params: Check['params'] = {}): void => void out.push({ ok, blocks, word, params })
  const { operation } = now
  if (!now.mayStart) add(false, true, 'chk_right')
  else add(true, false, 'chk_signed', { name: now.person })
  if (!operation) {
    add(false, false, 'chk_unknown')
    return out
  }
  if (now.orderStatus !== null) {
    const open = ORDER_OPEN.includes(now.orderStatus)
    add(open, true, open ? 'chk_order_ok' : 'chk_order_bad', { status: now.statusWord(now.orderStatus) })
  }
  if (ENDED.includes(operation.status)) add(false, true, 'chk_ended', { status: now.statusWord(operation.status) })
  if (operation.held) add(false, true, 'chk_held')
  const fits = operation.machines.filter((one) => now.here.includes(one))
  if (operation.machines.length > 0 && fits.length === 0) add(false, true, 'chk_machine_bad', { machines: operation.machines.join('、') })
  else if (now.machine) add(true, false, 'chk_machine_ok', { machine: now.machine })
  if (operation.available !== null && operation.available !== undefined) {
    add(operation.available > 0, false, operation.available > 0 ? 'chk_prev_ok' : 'chk_prev_none', { n: operation.available })
  }
  add(now.loaded.length > 0, false, now.loaded.length > 0 ? 'chk_lots' : 'chk_no_lots', { lots: now.loaded.join('、') })
  if (operation.setup_s) add(true, false, 'chk_setup', { min: Math.round(operation.setup_s / 60) })
  return out
}

export const blocked = (all: readonly Check[]): boolean => all.some((one) => !one.ok && one.blocks)

/** Where to run it: the machine the screen is about if it can, else a free one, else the first that can. */
export function bestMachine(allowed: readonly string[], here: readonly string[], chosen: string | null, busy: ReadonlySet<string>): string | null {
  const fits = allowed.length === 0 ? [...here] : here.filter((one) => allowed.includes(one))
  if (chosen && fits.includes(chosen) && !busy.has(chosen)) return chosen
  return fits.find((one) => !busy.has(one)) ?? (chosen && fits.includes(chosen) ? chosen : (fits[0] ?? null))
}
