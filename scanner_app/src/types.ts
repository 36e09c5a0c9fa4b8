/** What the tablet's door of HTTP API v1 answers (GET /stations/{code}/home, /scan, /decide). Times are ISO 8601 Z; null = not known. */
import type { Named, Operation } from '@gemba/web_kit/api/types'

export interface HomeMachine extends Named {
  state: string | null
  since: string | null
  alarm: string | null
  alarm_zh: string | null
  alarm_en: string | null
  power_w: number | null
  stale: boolean
}
export interface OrderHead {
  number: string
  quantity: number
  due: string | null
  status?: string
  item: Named & { tracking?: 'none' | 'lot' | 'serial'; unit?: string; box_quantity?: number | null }
}
export interface Job {
  operation: Operation & { held?: boolean }
  order: OrderHead
  machine: string
  last_cycle_s: number | null
  eta: string | null
  hours: { hour: string; good: number; target: number | null }[]
  chips: (number | string)[]
  notice: Notice | null
}
export interface Notice {
  id?: string
  kind?: string
  zh?: string
  en?: string
  text_zh?: string
  text_en?: string
}
export interface NextJob {
  operation: Operation & { held?: boolean }
  order: OrderHead
}
export interface ReasonTile {
  code: string
  zh: string
  en: string
}
export interface OpenStop {
  machine: string
  from: string
  to: string | null
  state: string
  alarm: string | null
  suggested_reason: string | null
}
export interface LoadedLot {
  lot: string
  item: string | Named
  operation: string | null
  remaining: number | null
}
export interface LastAct {
  event_id: string
  type: string
  at: string
  person: string | null
  text_zh: string
  text_en: string
  undoable: boolean
  reversed: boolean
}
export interface HomeAnswer {
  station: Named | string
  at: string
  machines: HomeMachine[]
  jobs: Job[]
  next: NextJob[]
  scrap_reasons: ReasonTile[]
  stop_reasons: ReasonTile[]
  open_stops: OpenStop[]
  loaded: LoadedLot[]
  last_acts: LastAct[]
  calls?: { call: string; machine: string; kind: 'leader' | 'maintenance' | 'quality' | 'material'; person: string | null; since: string }[]
  holds: { hold?: string; subject?: { kind: string; code: string }; reason?: string | null; [key: string]: unknown }[]
}
export interface ScanAnswer {
  kind: 'operation' | 'order' | 'lot' | 'serial' | 'machine' | 'station' | 'reason' | 'item' | 'gs1' | 'badge' | 'unknown' | 'misread'
  code: string
  label_zh: string
  label_en: string
  data: Record<string, unknown> | null
}
export interface Problem {
  title: string
  status: number
  code: string
  next_step: string
  params?: Record<string, unknown>
}
export interface ActAnswer {
  event_id: string
  seq?: number
  replay?: boolean
  body?: Record<string, unknown>
}
export interface Subject {
  kind: 'serial' | 'lot' | 'operation'
  code: string
}
