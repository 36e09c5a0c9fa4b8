/** The shapes of HTTP API v1, as the screens use them. Times are ISO 8601 Z texts; W, Wh, s; ratios 0…1; null = not known. */

export interface Page<T> {
  items: T[]
  next: string | null
}
export interface Acted<B = Record<string, unknown>> {
  event_id: string
  seq: number
  replay: boolean
  body: B
}
export interface ClockNow {
  now: string
  speed: number
}
export interface Named {
  code: string
  name_zh: string
  name_en: string
}

export interface Role {
  role: string
  area?: string | null
}
export interface Person {
  code: string
  name: string
  lang: 'zh' | 'en'
  roles: (Role | string)[]
  rights: string[]
}
export interface SessionAnswer {
  token?: string
  expires_at: string | null
  person: Person
  station: string | null
}

export interface Machine extends Named {
  line: string
  sequence: number
  machine_class: string
  counting: 'machine' | 'person' | 'both'
  micro_stop_s: number
  rated_power_w: number | null
  edge: string | null
  device: string | null
}
export interface Line extends Named {
  oee_target: number | null
}
export interface Reason {
  code: string
  kind: 'stop' | 'scrap'
  zh: string
  en: string
  time_class: string
  planned: boolean
  machine_classes: string[]
}
export interface Meter extends Named {
  kind: 'machine' | 'utility' | 'incomer'
  machine?: string | null
  line?: string | null
  rated_power_w: number | null
  edge: string | null
  device: string | null
}
export interface Shift extends Named {
  start: string
  end: string
  weekdays: number[]
  breaks: { start: string; end: string }[]
}
export interface Plant {
  /** null before the first model is saved. */
  site: (Named & { zone: string; production_day_start: string; currency: string }) | null
  lines: Line[]
  machines: Machine[]
  stations: (Named & { machines: string[] })[]
  meters: Meter[]
  shifts: Shift[]
  reasons: Reason[]
  alarms: { code: string; machine_class: string; zh: string; en: string; reason: string | null }[]
}
export interface ShiftWindow {
  shift: string
  day: string
  from: string
  to: string
  planned_s: number
  breaks: { from: string; to: string }[]
}

export interface Operation {
  id: string
  order: string
  number: number
  name_zh: string
  name_en: string
  status: 'pending' | 'ready' | 'running' | 'interrupted' | 'completed' | 'skipped' | 'aborted'
  machine_class: string
  machines: string[]
  counting: 'machine' | 'person' | 'both'
  cycle_s: number | null
  setup_s: number | null
  planned: number
  good: number
  scrap: number
  rework: number
  available: number | null
  over: boolean
  started_at: string | null
  ended_at: string | null
  runs: { machine: string; person: string | null; from: string; to: string | null }[]
}
export interface WorkOrder {
  number: string
  item: Named
  quantity: number
  status: 'draft' | 'released' | 'in_progress' | 'on_hold' | 'completed' | 'closed' | 'cancelled'
  priority: number
  due: string | null
  late_by_s: number | null
  good: number
  scrap: number
  erp: { id: string; version: number | string } | null
  pending_change: unknown
  operations: Operation[]
}
export interface JournalRecord {
  seq: number
  event_id: string
  type: string
  occurred_at: string
  recorded_at: string
  subject: string
  person: string | null
  device: string | null
  payload: Record<string, unknown>
}

export interface StateRow {
  from: string
  to: string | null
  state: string
  state_raw: string | null
  alarm: string | null
  known: boolean
  cause?: string | null
  reason: string | null
  reason_by: string | null
}
export interface Stop {
  machine: string
  from: string
  to: string | null
  seconds: number
  /** Of `seconds`, those in planned time: what losses and Pareto add up. */
  planned_s?: number
  state: string
  alarm: string | null
  reason: string | null
  reason_zh?: string
  reason_en?: string
  reason_by: string | null
  reason_at: string | null
  note?: string
  operation: string | null
  micro: boolean
}
export interface Gap {
  zh?: string
  en?: string
  device: string
  machine: string | null
  from: string
  to: string
  cause: string
  detail: string | null
  counter_reset: boolean
  parts_max: number | null
}

export interface Loss {
  key: string
  zh: string
  en: string
  seconds: number
  pieces: number | null
}
export interface OeeRecord {
  scope: string
  from: string
  to: string
  planned_s: number
  pbt_s: number
  known_s: number
  coverage: number | null
  apt_s: number
  aust_s: number
  good: number
  scrap: number
  total: number
  ideal_s_good: number | null
  ideal_s_total: number | null
  iso: { a: number | null; p: number | null; q: number | null; oee: number | null }
  tpm: { a: number | null; p: number | null; q: number | null }
  oee: number | null
  target: number | null
  flags: string[]
  losses: Loss[]
  how_zh: string
  how_en: string
}
export interface LossesAnswer {
  record: OeeRecord
  waterfall: { key: string; zh: string; en: string; seconds: number; kind: 'total' | 'loss' | 'rest' }[]
  /** `reason`: a reason's code, or micro, no_order, state.<state> where nobody said one: what GET /stops takes. */
  pareto: { reason: string; zh: string; en: string; seconds: number; count: number; pieces: number | null }[]
}

export interface LoadSeries {
  meter: string
  points: { at: string; wh: number | null; w_mean: number | null; estimated: boolean }[]
}
export interface EnergySummary {
  meters: {
    meter: string
    name_zh: string
    name_en: string
    kind: 'machine' | 'utility' | 'incomer'
    machine: string | null
    wh: number | null
    varh: number | null
    pf: number | null
    w_max_15min: number | null
    w_max_at: string | null
    estimated_share: number | null
    coverage: number | null
  }[]
  machines_wh: number | null
  utilities_wh: number | null
  incomer_wh: number | null
  unmetered_wh: number | null
  good: number
  wh_per_good: number | null
  idle_wh: number | null
  coverage: number | null
  w_max_15min: number | null
  w_max_at: string | null
  how_zh: string
  how_en: string
}
export interface EnergyMonth {
  month: string
  wh: number | null
  varh: number | null
  pf: number | null
  demand_w_max_15min: number | null
  demand_at: string | null
}

export interface Tile extends Named {
  line: string
  state: string | null
  since: string | null
  alarm: string | null
  alarm_zh: string | null
  alarm_en: string | null
  reason_zh: string | null
  reason_en: string | null
  order: string | null
  operation: string | null
  item: string | null
  good_shift: number | null
  target_shift: number | null
  oee_shift: number | null
  power_w: number | null
  stale: boolean
  known_until: string | null
}
export interface PlantNow {
  at: string
  machines: Tile[]
  totals: { oee: number | null; oee_target: number | null; good: number | null; planned: number | null; power_w: number | null; power_known: boolean; coverage: number | null; how_zh: string; how_en: string }
  shift: (Named & { from: string; to: string }) | null
}
export interface MachineDay {
  machine: string
  day: string
  from: string
  to: string
  states: StateRow[]
  counts: { from: string; good: number; scrap: number }[]
  target_per_h: number | null
  alarms: { from: string; to: string | null; code: string; zh: string; en: string }[]
  power: { at: string; w_mean: number | null; w_min: number | null; w_max: number | null; known: boolean }[]
  orders: { operation: string; item: string; from: string; to: string | null; good: number }[]
  stops: Stop[]
  gaps: Gap[]
  oee: OeeRecord
  meter: string | null
}
export interface Deviation {
  value: number | null
  /** Mean of the known ones of the 13 days before. */
  baseline: number | null
  days: number
}
export interface PlantAction {
  id: string
  text: string
  person: string | null
  due: string | null
  done: boolean
  topic: string | null
  day: string | null
  overdue: boolean
}
export interface Yesterday {
  day: string
  shifts: ShiftWindow[]
  closed: boolean
  late_acts: number
  lines: { line: string; name_zh: string; name_en: string; flags: string[]; how_zh: string; how_en: string; oee: number | null; target: number | null; spark: { day: string; oee: number | null }[]; coverage: number | null; good: number; plan: number | null; a: number | null; p: number | null; q: number | null }[]
  /** `reason` is what GET /stops?reason= takes; `new`: none of it in the 13 days before. */
  losses: { reason: string; zh: string; en: string; machine: string; minutes: number; count: number; pieces: number | null; money: number | null; new: boolean }[]
  late_orders: { order: string; item: string; good: number; quantity: number; late_by_s: number; cause_zh: string; cause_en: string; new_promise: string | null }[]
  energy: { wh_per_good: Deviation; idle_wh: Deviation; demand_w_max: Deviation; wh: Deviation; coverage: number | null }
  actions: PlantAction[]
  focus_machine: string | null
}
export interface Wall {
  at: string
  line: string | null
  shift: (Named & { from: string; to: string }) | null
  tiles: Tile[]
  numbers: WallFigure[]
}
export interface WallFigure {
  key: string
  zh: string
  en: string
  value: number | null
  target: number | null
  /** pcs | ratio | W */
  unit: string
  note_zh: string
  note_en: string
}

export interface TraceAnswer {
  root: { id: number; kind: string; code: string; label_zh: string; label_en: string }
  nodes: { id: number; kind: string; code: string; item: string | null; status: string | null; on_hold: boolean }[]
  /** `parent` went into `child`. */
  edges: { parent: number; child: number; quantity: number | null; unit: string | null; at: string | null; operation: string | null; person: string | null; precision: 'serial' | 'order' }[]
  truncated: boolean
}
export interface Passport {
  serial: string
  item: Named
  order: string | null
  status: string
  on_hold: boolean
  produced_at: string | null
  machine: string | null
  person: string | null
  lots: { lot: string; item: string; quantity: number; unit?: string; operation: string | null; precision: string }[]
  defects: { code: string; code_zh?: string; code_en?: string; note?: string | null; at?: string | null }[]
  holds: { hold: string; reason: string; note: string | null; at: string; released_at: string | null }[]
  kwh: number | null
  operations: { id: string; number: number; name_zh: string; name_en: string; status: string; started_at: string | null; ended_at: string | null; runs: Operation['runs'] }[]
}

export interface ErpStatus {
  connected: boolean
  since: string | null
  error_zh: string
  error_en: string
  last_in: string | null
  last_out: string | null
  outbox_waiting: number
  oldest_waiting_s: number | null
  refused: number
  refused_in: number
  not_yet_sent: number
}
export interface ErpMessage {
  id: string | number
  direction: 'in' | 'out'
  kind: string
  order: string | null
  sequence: number | null
  status: string
  attempts: number
  created_at: string
  posted_at: string | null
  erp_document: string | null
  erp_message: string | null
  zh: string | null
  en: string | null
  payload: unknown
  waiting_behind: number | null
}
export interface ErpChange {
  id: string | number
  order: string
  kind: 'quantity' | 'cancel' | 'due' | 'item'
  old: string
  new: string
  made: number | null
  proposal_zh: string
  proposal_en: string
  status: string
  created_at: string
  decided_at: string | null
  decided_by: string | null
}

export interface PersonRow {
  code: string
  name: string
  user?: string | null
  lang: 'zh' | 'en'
  roles: Role[]
  active: boolean
  has_badge: boolean
  has_pin: boolean
  has_password: boolean
}
export interface Device {
  code: string
  name: string
  kind: string
  station: string | null
  enrolled_at: string | null
  /** Not enrolled yet: the code is good until then. */
  waiting_until: string | null
}
export interface ApiToken {
  code: string
  name: string
  roles: Role[]
  created_at: string
  created_by: string | null
  expires_at: string | null
}
export interface MeterSwap {
  meter: string
  at: string
  old_import_wh: number
  new_import_wh: number
  old_serial: string
  new_serial: string
  reason: string
  by: string | null
  shift_wh: number
}
export interface MeterSwapPreview {
  meter: string
  day: string
  from: string
  to: string
  seen_wh: number | null
  seen_at: string | null
  wh_before: number | null
  wh_after: number | null
}
export interface SystemHealth {
  tablets: { device: string; waiting: number; heard_s: number }[]
  server: {
    version: string
    uptime_s: number
    db: string
    telemetry: string
    broker: { connected: boolean; since: string | null; restarts?: number }
    faults?: { part: string; grave: boolean; since_s: number | null; zh: string; en: string; next_zh: string; next_en: string }[]
    acts_waiting: number
    journal: { records: number; sealed: number; bad_seq: number | null }
    quarantine?: { records: number; newest: string | null; reason: string }
  }
  edges: {
    edge: string
    online: boolean
    since: string | null
    epoch: string | null
    stored_up_to: number | null
    last_record: number | null
    waiting: number | null
    lag_s: number | null
    fill: number | null
    hours_left?: number | null
    /** Seconds since its last message; null: none since the server started. */
    heard_s: number | null
    /** What it said of itself no longer counts: it is away or silent. Its figures are null then. */
    stale: boolean
    up_s?: number | null
    buffer_state?: string | null
    clock_state?: string | null
    clock_wrong_by_ms?: number | null
    sources: { name: string; status: string | null; error: string | null; rate: number | null; clock_offset_ms: number | null; lag_s?: number | null }[]
    gaps_today: number | null
    fenced?: { instance: string; since: string; last: string; tries: number; twin: boolean }[]
    devices: { device: string; mapped: boolean }[]
  }[]
  erp: Record<string, unknown> | null
}
export interface HistoryProgress {
  acts_waiting: number
  expected: number | null
  stored: number
  done: boolean
}
