/** The plant model, read once: names of machines, lines, reasons and alarms for every page. */
import { ref, shallowRef } from 'vue'
import { get } from '@gemba/web_kit/api/client'
import type { Line, Machine, Plant, ShiftWindow } from '@gemba/web_kit/api/types'
import { zone } from '@gemba/web_kit/format'
import { nameOf } from '@gemba/web_kit/i18n'
import { t } from './words'

export const plant = shallowRef<Plant | null>(null)
export const plantVersion = ref(0)

export async function loadPlant(): Promise<void> {
  const found = await get<Plant>('/plant')
  if (found.site) zone.value = found.site.zone
  plant.value = found
  plantVersion.value++
}

export function machineOf(code: string | null | undefined): Machine | undefined {
  return plant.value?.machines.find((one) => one.code === code)
}

/** Machines in the order of their line. */
export function machinesOfLine(line: string): Machine[] {
  return (plant.value?.machines ?? []).filter((one) => one.line === line).sort((a, b) => a.sequence - b.sequence)
}

export function lineOf(code: string | null | undefined): Line | undefined {
  return plant.value?.lines.find((one) => one.code === code)
}

export function lineName(code: string | null | undefined): string {
  return nameOf(lineOf(code)) || (code ?? '')
}

/** A stop or scrap reason in the person's words; null = nobody has said it yet. */
export function reasonName(code: string | null | undefined): string {
  if (!code) return t('unexplained')
  return nameOf(plant.value?.reasons.find((one) => one.code === code)) || code
}

export function alarmName(code: string | null | undefined, machine?: string): string {
  if (!code) return ''
  const kind = machineOf(machine)?.machine_class
  const alarms = plant.value?.alarms.filter((one) => one.code === code) ?? []
  return nameOf(alarms.find((one) => one.machine_class === kind) ?? alarms[0]) || code
}

export function meterName(code: string): string {
  return nameOf(plant.value?.meters.find((one) => one.code === code)) || code
}

export function shiftName(code: string): string {
  return nameOf(plant.value?.shifts.find((one) => one.code === code)) || code
}

/** `machine:MC-01` → MC-01 · name; `line:L1` → its name; `site` → the whole plant. */
export function scopeName(scope: string): string {
  const [kind, code] = scope.split(':')
  if (kind === 'machine') return code ?? ''
  if (kind === 'line') return lineName(code)
  return t('plant')
}

const windows = new Map<string, Promise<ShiftWindow[]>>()

/** The shifts of one production day as the server resolves them (UTC), in order. */
export function shiftsOfDay(day: string): Promise<ShiftWindow[]> {
  let found = windows.get(day)
  if (!found) {
    const noon = Date.parse(`${day}T12:00:00Z`)
    const span = { from: new Date(noon - 36 * 3_600_000).toISOString(), to: new Date(noon + 48 * 3_600_000).toISOString() }
    found = get<ShiftWindow[]>('/shifts', span).then((all) => all.filter((one) => one.day === day).sort((a, b) => a.from.localeCompare(b.from)))
    found.catch(() => windows.delete(day))
    windows.set(day, found)
  }
  return found
}

/** The production day that `ms` lies in: the calendar date of the plant, minus one before the day's start. */
export function productionDay(ms: number): string {
  const [hours = 0, minutes = 0] = (plant.value?.site?.production_day_start ?? '00:00').split(':').map(Number)
  const shifted = ms - (hours * 60 + minutes) * 60_000
  return new Intl.DateTimeFormat('en-CA', { timeZone: zone.value, year: 'numeric', month: '2-digit', day: '2-digit' }).format(shifted)
}
