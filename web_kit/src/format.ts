/** Times in the plant's zone, numbers and units as a person of either language reads them. Unknown is "—", never 0. */
import { ref } from 'vue'
import { lang } from './i18n'

export const UNKNOWN = '—'
/** The plant's zone; set from GET /plant. */
export const zone = ref('Asia/Shanghai')

type When = string | number | null | undefined
const cache = new Map<string, Intl.DateTimeFormat>()

function formatter(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const locale = lang.value === 'zh' ? 'zh-CN' : 'en-GB'
  const key = `${locale}|${zone.value}|${JSON.stringify(options)}`
  let found = cache.get(key)
  if (!found) {
    found = new Intl.DateTimeFormat(locale, { timeZone: zone.value, hourCycle: 'h23', ...options })
    cache.set(key, found)
  }
  return found
}

export function msOf(when: When): number | null {
  if (when === null || when === undefined || when === '') return null
  const ms = typeof when === 'number' ? when : Date.parse(when)
  return Number.isFinite(ms) ? ms : null
}

function show(when: When, options: Intl.DateTimeFormatOptions): string {
  const ms = msOf(when)
  return ms === null ? UNKNOWN : formatter(options).format(ms)
}

/** 14:31 */
export const hm = (when: When): string => show(when, { hour: '2-digit', minute: '2-digit' })
/** 14:31:07 */
export const hms = (when: When): string => show(when, { hour: '2-digit', minute: '2-digit', second: '2-digit' })

function parts(ms: number): { y: string; m: string; d: string } {
  const found = Object.fromEntries(formatter({ year: 'numeric', month: '2-digit', day: '2-digit' }).formatToParts(ms).map((one) => [one.type, one.value]))
  return { y: found['year'] ?? '', m: found['month'] ?? '', d: found['day'] ?? '' }
}

/** 2026-03-18, the plant's calendar date. */
export function ymd(when: When): string {
  const ms = msOf(when)
  if (ms === null) return UNKNOWN
  const { y, m, d } = parts(ms)
  return `${y}-${m}-${d}`
}

/** 03-18 */
export function md(when: When): string {
  const ms = msOf(when)
  if (ms === null) return UNKNOWN
  const { m, d } = parts(ms)
  return `${m}-${d}`
}

/** 03-18 14:31; only 14:31 on the plant's today. */
export function mdhm(when: When, today?: number): string {
  const ms = msOf(when)
  if (ms === null) return UNKNOWN
  return today !== undefined && ymd(today) === ymd(ms) ? hm(ms) : `${md(ms)} ${hm(ms)}`
}

/** A sentence of the server with its moments (ISO, UTC) as a person at the plant reads them. */
export const inPlantTime = (text: string): string => text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z/g, (moment) => mdhm(moment))

export const weekday = (when: When): string => show(when, { weekday: 'short' })

/** 2026-03-18T14:31, the plant's wall clock, as a `datetime-local` field wants it. */
export const localOf = (ms: number): string => `${ymd(ms)}T${hm(ms)}`
/** The moment of such a text; null for what is no time. In the hour that comes twice the later one. */
export function msOfLocal(text: string): number | null {
  const wanted = Date.parse(`${text}:00Z`)
  if (!Number.isFinite(wanted)) return null
  let ms = wanted
  for (let turn = 0; turn < 2; turn++) ms += wanted - Date.parse(`${localOf(ms)}:00Z`)
  return ms
}

/** Whether a text is a calendar day, YYYY-MM-DD. */
export function isDay(text: string): boolean {
  const ms = Date.parse(`${text}T00:00:00Z`)
  return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(text) && text.length === 10
}
/** A day text (YYYY-MM-DD) moved by whole days, as calendar arithmetic without a zone. */
export function addDays(day: string, by: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + by * 86_400_000).toISOString().slice(0, 10)
}

export function weekdayOfDay(day: string): string {
  return new Intl.DateTimeFormat(lang.value === 'zh' ? 'zh-CN' : 'en-GB', { weekday: 'short', timeZone: 'UTC' }).format(Date.parse(`${day}T00:00:00Z`))
}

export function number(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN
  return new Intl.NumberFormat(lang.value === 'zh' ? 'zh-CN' : 'en-GB', { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value)
}

/** 97 pcs, 97 件, 15.6 m: a quantity with its unit, never rounded to a whole one where the unit can be divided. */
export function quantityOf(value: number | null | undefined, unit: string | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN
  const text = new Intl.NumberFormat(lang.value === 'zh' ? 'zh-CN' : 'en-GB', { maximumFractionDigits: 3 }).format(value)
  return `${text} ${unit === 'pcs' && lang.value === 'zh' ? '件' : (unit ?? '')}`.trim()
}
/** Something a second, with the digits its size needs: a slow meter is not 0. */
export function pace(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined || !Number.isFinite(perSecond)) return UNKNOWN
  if (perSecond > 0 && perSecond < 0.01) return `< ${number(0.01, 2)}`
  return number(perSecond, perSecond >= 100 || perSecond === 0 ? 0 : perSecond >= 1 ? 1 : 2)
}
/** A ratio 0…1 as per cent without the sign: 61.2 */
export const percent = (ratio: number | null | undefined, digits = 1): string => number(ratio === null || ratio === undefined ? null : ratio * 100, digits)
/** 61.2 % */
export function percentSign(ratio: number | null | undefined, digits = 1): string {
  const text = percent(ratio, digits)
  return text === UNKNOWN ? text : `${text} %`
}
/** W → kW text without the unit. */
export const kw = (watts: number | null | undefined, digits = 0): string => number(watts === null || watts === undefined ? null : watts / 1000, digits)
/** Wh → kWh text without the unit. */
export const kwh = (wattHours: number | null | undefined, digits = 0): string => number(wattHours === null || wattHours === undefined ? null : wattHours / 1000, digits)

/** 04:10 (minutes:seconds) below an hour, 2:04:10 above: the running stop on a tile. */
export function clockSpan(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN
  const s = Math.max(0, Math.floor(seconds))
  const two = (n: number): string => String(n).padStart(2, '0')
  return s < 3600 ? `${two(Math.floor(s / 60))}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`
}

/** 45 s, 12 min, 2 h 05, 3 d 4 h: in words of the language. */
export function span(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN
  const zh = lang.value === 'zh'
  const s = Math.round(Math.abs(seconds))
  if (s < 90) return zh ? `${s} 秒` : `${s} s`
  const minutes = Math.round(s / 60)
  if (minutes < 90) return zh ? `${minutes} 分` : `${minutes} min`
  const hours = Math.floor(minutes / 60)
  const rest = String(minutes % 60).padStart(2, '0')
  if (hours < 48) return zh ? `${hours} 小时 ${rest} 分` : `${hours} h ${rest}`
  return zh ? `${Math.floor(hours / 24)} 天 ${hours % 24} 小时` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

export const minutes = (seconds: number | null | undefined, digits = 0): string => number(seconds === null || seconds === undefined ? null : seconds / 60, digits)
