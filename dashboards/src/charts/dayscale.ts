/** The one time axis of a machine's day: plant milliseconds to pixels, and ticks at round plant hours. Pure. */
import { zone } from '@gemba/web_kit/format'

export interface Scale {
  from: number
  to: number
  left: number
  width: number
}

export const xOf = (scale: Scale, ms: number): number => scale.left + ((ms - scale.from) / (scale.to - scale.from)) * scale.width
export const msAt = (scale: Scale, x: number): number => scale.from + ((x - scale.left) / scale.width) * (scale.to - scale.from)

/** A span clipped to the axis as [x, width], or null outside. */
export function clip(scale: Scale, from: number, to: number): [x: number, width: number] | null {
  const a = Math.max(from, scale.from)
  const b = Math.min(to, scale.to)
  return b > a ? [xOf(scale, a), ((b - a) / (scale.to - scale.from)) * scale.width] : null
}

const STEPS_MIN = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360]

/** Offset of the plant's zone at `ms`, in milliseconds. */
function zoneOffset(ms: number): number {
  const at = Math.floor(ms / 60_000) * 60_000
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone.value, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' }).formatToParts(at)
  const of = (type: string): number => Number(parts.find((one) => one.type === type)?.value ?? 0)
  return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute')) - at
}

/** Tick times at round plant minutes, at most one in `spacing` pixels. */
export function ticks(scale: Scale, spacing: number): number[] {
  const minutes = (scale.to - scale.from) / 60_000
  const most = Math.max(2, scale.width / spacing)
  const step = (STEPS_MIN.find((one) => minutes / one <= most) ?? 720) * 60_000
  const offset = zoneOffset(scale.from)
  const out: number[] = []
  for (let at = Math.ceil((scale.from + offset) / step) * step - offset; at <= scale.to; at += step) out.push(at)
  return out
}

/** Keeps a zoomed span inside the day and no shorter than five minutes. */
export function bounded(from: number, to: number, day: { from: number; to: number }): { from: number; to: number } {
  const length = Math.min(Math.max(to - from, 300_000), day.to - day.from)
  const start = Math.min(Math.max(from, day.from), day.to - length)
  return { from: start, to: start + length }
}
