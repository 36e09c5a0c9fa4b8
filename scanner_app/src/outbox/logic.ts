/**
 * The rules of the outbox, pure: which taps become one act, what may be sent next, what an answer means. No store, no network, no clock.
 *
 * An entry lives: holding (more taps may still join) → waiting → sent and gone, or refused (kept until a person has seen it).
 * Order is kept: nothing overtakes an act that waits before it, except the acts of another person when one person's sign-in has run out.
 */
import type { Problem } from '../types'

export interface Act {
  type: string
  event_id: string
  occurred_at: string
  [field: string]: unknown
}
/** What the act does to the numbers on the screen until the server's own numbers include it. */
export interface Effect {
  operation: string
  good: number
  scrap: number
}
export interface QueueEntry {
  n: number
  act: Act
  /** who did it: the person's code, or `badge:<raw>` for "this act only" and for a badge no server has checked */
  person: string
  /** the person's badge, in case their sign-in runs out before the act is sent */
  badge: string | null
  /** taps with the same key within MERGE_MS are one act; null: never */
  mergeKey: string | null
  /** device ms (Date.now) until which taps may join, and since when it is there */
  holdUntil: number
  createdAt: number
  tries: number
  state: 'queued' | 'refused'
  problem: Problem | null
  effect: Effect | null
  /** shown in lists, made when the act was made, both languages */
  words: { zh: string; en: string }
  photos: string[]
}

/** Taps on the same tile within this time are one act. */
export const MERGE_MS = 3000
/** An act does not stay open for joining longer than this, however fast a person taps on. */
export const MERGE_TOTAL_MS = 8000
export const BATCH_MAX = 100
/** An act older than this is no longer in front of the person: a refusal belongs on the supervisor's list, so it goes by batch. */
export const FRESH_MS = 15_000

export function canMerge(entry: QueueEntry, mergeKey: string | null, person: string, now: number): boolean {
  return (
    mergeKey !== null && entry.mergeKey === mergeKey && entry.person === person && entry.state === 'queued' && entry.tries === 0 &&
    now < entry.holdUntil && now - entry.createdAt < MERGE_TOTAL_MS
  )
}

/** The entry with one more tap in it: same id, later time, numbers added. */
export function merged(entry: QueueEntry, act: Act, effect: Effect | null, words: QueueEntry['words'], now: number): QueueEntry {
  const sum: Act = { ...entry.act, occurred_at: act.occurred_at }
  for (const field of ['good', 'scrap', 'rework', 'quantity'] as const) {
    if (typeof act[field] === 'number') sum[field] = act[field] + (Number(entry.act[field]) || 0)
  }
  if (act['confirmed'] === true) sum['confirmed'] = true
  const both = effect && entry.effect ? { ...effect, good: effect.good + entry.effect.good, scrap: effect.scrap + entry.effect.scrap } : effect
  return { ...entry, act: sum, effect: both, words, holdUntil: now + MERGE_MS }
}

export interface Outgoing {
  entries: QueueEntry[]
  /** device ms when it is worth looking again; null: nothing to wait for */
  wakeAt: number | null
  batch: boolean
}

/** The next run to send: in order, one person's, none that may still grow. `signedOut`: persons whose sign-in has run out. */
export function nextRun(queue: readonly QueueEntry[], signedOut: ReadonlySet<string>, now: number): Outgoing {
  const entries: QueueEntry[] = []
  let wakeAt: number | null = null
  for (const entry of queue) {
    if (entry.state === 'refused' || signedOut.has(entry.person)) continue
    if (entry.holdUntil > now) {
      wakeAt = entry.holdUntil
      break
    }
    if (entries[0] && entries[0].person !== entry.person) break
    entries.push(entry)
    if (entries.length >= BATCH_MAX) break
  }
  const first = entries[0]
  return { entries, wakeAt, batch: entries.length > 1 || (first !== undefined && now - first.createdAt > FRESH_MS) }
}

export type Outcome = { kind: 'done' } | { kind: 'replay' } | { kind: 'refused'; problem: Problem } | { kind: 'retry' } | { kind: 'signed_out' } | { kind: 'split' }

/** What an HTTP answer to one act (or, `batch`, to a whole batch) means. status 0: no answer at all. */
export function classify(status: number, body: unknown, batch: boolean): Outcome {
  if (status >= 200 && status < 300) return { kind: (body as { replay?: boolean } | null)?.replay ? 'replay' : 'done' }
  if (status === 401) return { kind: 'signed_out' }
  if (status === 0 || status >= 500 || status === 408 || status === 425 || status === 429) return { kind: 'retry' }
  if (batch) return { kind: 'split' } // one bad act must not hold up the others: send them one by one
  return { kind: 'refused', problem: asProblem(status, body) }
}

export interface BatchResult {
  event_id: string
  status: 'done' | 'replay' | 'refused' | 'retry'
  problem?: Problem
}

/** The outcomes of a batch's entries, by event id; what the server did not mention is sent again. */
export function batchOutcomes(entries: readonly QueueEntry[], results: readonly BatchResult[]): Map<string, Outcome> {
  const byId = new Map(results.map((one) => [one.event_id, one]))
  return new Map(
    entries.map((entry) => {
      const result = byId.get(entry.act.event_id)
      if (!result || result.status === 'retry') return [entry.act.event_id, { kind: 'retry' } as Outcome]
      if (result.status === 'refused') return [entry.act.event_id, { kind: 'refused', problem: asProblem(422, result.problem) }]
      return [entry.act.event_id, { kind: result.status }]
    }),
  )
}

export function asProblem(status: number, body: unknown): Problem {
  const found = (body ?? {}) as Partial<Problem>
  return {
    title: typeof found.title === 'string' ? found.title : '',
    status: typeof found.status === 'number' ? found.status : status,
    code: typeof found.code === 'string' ? found.code : `http_${status}`,
    next_step: typeof found.next_step === 'string' ? found.next_step : '',
    params: found.params ?? {},
  }
}

/** Real ms to wait before try `tries` + 1: 0.5, 1, 2, 4, 8, 15 s, spread by `random` 0…1 so that tablets do not come back as one. */
export function backoffMs(tries: number, random: number): number {
  return Math.min(15_000, 500 * 2 ** Math.min(tries, 6)) * (0.75 + random / 2)
}
