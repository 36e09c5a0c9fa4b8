/** Which sheet is open, and who hears a scan first. One sheet at a time: a floor screen never stacks windows. */
import type { Read } from '@gemba/web_kit/scan/codes'
import { shallowRef } from 'vue'
import type { ScanAnswer } from '../types'

export type SheetName =
  | 'start' | 'pad' | 'scrap' | 'stop' | 'stops' | 'help' | 'material' | 'check' | 'pause' | 'handover' | 'queue' | 'acts' | 'decide' | 'settings' | 'code' | 'camera'
  | 'subject' | 'hold' | 'serial' | 'station' | 'person' | 'ask'

export interface Sheet {
  name: SheetName
  props: Record<string, unknown>
}

export const sheet = shallowRef<Sheet | null>(null)
/** A badge scanned while this sheet is open: the act is that person's, then back. */
export const actAs = shallowRef<{ badge: string; name: string } | null>(null)

export interface SheetScan {
  (read: Read, answer: ScanAnswer | null): boolean | Promise<boolean>
}
let scanOfSheet: SheetScan | null = null

export function openSheet(name: SheetName, props: Record<string, unknown> = {}): void {
  actAs.value = null
  scanOfSheet = null
  sheet.value = { name, props }
}

export function closeSheet(): void {
  actAs.value = null
  scanOfSheet = null
  sheet.value = null
}

/** The open sheet takes scans first; it returns true for those it has used. */
export function takeScans(handler: SheetScan): void {
  scanOfSheet = handler
}

export const sheetScan = (): SheetScan | null => scanOfSheet
