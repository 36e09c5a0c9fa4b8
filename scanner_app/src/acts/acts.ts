/** What a person can do, each as one act: id at the first touch, plant time, plausibility, the words for band and lists. */
import { stamp } from '@gemba/web_kit/api/client'
import { plantNow } from '@gemba/web_kit/clock'
import type { Pair } from '@gemba/web_kit/i18n'
import { post, queue, settled, type NewAct } from '../outbox/outbox'
import { canMerge, type Effect, type QueueEntry } from '../outbox/logic'
import { showBand } from '../state/band'
import type { PhotoRow } from '../state/db'
import { numbersOf } from '../state/home'
import { actor, badgeHere } from '../state/session'
import { actAs } from '../state/ui'
import type { Job, ReasonTile, Subject } from '../types'
import { plausible, type Verdict } from './plausible'
import { noteUndoable } from './undo'

type Fields = Record<string, unknown> & { type: string }

/** Makes the act (in the name of the badge scanned for it, if one was) and puts it into the outbox. Null: it could not be kept (said so in red). */
export async function send(fields: Fields, words: Pair, more: Omit<Partial<NewAct>, 'words' | 'act'> & { at?: number } = {}): Promise<QueueEntry | null> {
  const who = actAs.value ? `badge:${actAs.value.badge}` : actor.value
  const { at, person, badge, ...rest } = more
  const mark = stamp()
  if (at !== undefined) mark.occurred_at = new Date(at).toISOString()
  try {
    return await post({ ...rest, act: { ...mark, ...fields }, person: person ?? who, badge: badge ?? (actAs.value ? null : badgeHere()), words: { zh: words[0], en: words[1] } })
  } catch {
    showBand('error', ['本机存储写入失败，未记录！', 'This tablet could not store it: NOT recorded!'], ['请叫班组长，换一台平板。', 'Call your leader and use another tablet.'])
    return null
  }
}

// --- counting ------------------------------------------------------------------------------------------------------------------------
export type Origin = 'chip' | 'pad' | 'scan'
export interface Count {
  job: Job
  good: number
  scrap: number
  reason?: ReasonTile | null
  origin: Origin
  confirmed?: boolean
  serials?: string[]
}

/** Scrap is moved out of the machine's count, not added, wherever the machine counts. */
export const machineCounts = (job: Job): boolean => job.operation.counting !== 'person'

const mergeKeyOf = (one: Count): string | null =>
  one.origin === 'pad' ? null : `${one.job.operation.id}|${one.job.machine}|${one.scrap ? `s:${one.reason?.code}` : `g:${one.good}`}`

/** The act this tap would join, if it still takes taps. */
function joins(one: Count): QueueEntry | undefined {
  return queue.find((entry) => canMerge(entry, mergeKeyOf(one), actor.value, Date.now()))
}

function lastReportMs(job: Job, but: QueueEntry | undefined): number | null {
  const mine = [...queue, ...settled].filter((entry) => entry !== but && entry.act.type === 'production.report' && entry.act['operation'] === job.operation.id)
  const times = mine.map((entry) => Date.parse(entry.act.occurred_at))
  for (const run of job.operation.runs) if (run.machine === job.machine && run.to === null) times.push(Date.parse(run.from))
  return times.length ? Math.max(...times) : null
}

/** Refuse, ask once, or take: before anything leaves the tablet. */
export function judge(one: Count): Verdict {
  const numbers = numbersOf(one.job)
  const joined = joins(one)
  const before = joined ? Number(joined.act['good']) + Number(joined.act['scrap']) : 0
  const since = lastReportMs(one.job, joined)
  const adds = !(machineCounts(one.job) && one.good === 0)
  return plausible(before + one.good + one.scrap, {
    planned: one.job.operation.planned, made: numbers.good + numbers.scrap - before, orderQuantity: one.job.order.quantity, cycleS: one.job.operation.cycle_s,
    sinceS: since === null ? null : (plantNow() - since) / 1000,
  }, adds)
}

const goodWords = (good: number): Pair => [`合格 +${good}`, `good +${good}`]
const scrapWords = (scrap: number, reason: ReasonTile | null | undefined): Pair => [`报废 ${reason?.zh ?? ''} +${scrap}`, `scrap ${reason?.en ?? ''} +${scrap}`]

/** Books pieces; taps on the same tile join. The caller has judged. */
export async function count(one: Count): Promise<QueueEntry | null> {
  const { job } = one
  const moves = machineCounts(job)
  const effect: Effect = { operation: job.operation.id, good: one.good - (moves ? one.scrap : 0), scrap: one.scrap }
  const mergeKey = mergeKeyOf(one)
  const words = one.scrap ? scrapWords(one.scrap, one.reason) : goodWords(one.good)
  const fields: Fields = { type: 'production.report', operation: job.operation.id, machine: job.machine, good: one.good, scrap: one.scrap, origin: one.origin }
  if (one.scrap && one.reason) fields['reason'] = one.reason.code
  if (one.confirmed) fields['confirmed'] = true
  if (one.serials?.length) fields['serials'] = one.serials
  const entry = await send(fields, words, { effect, ...(mergeKey ? { mergeKey } : {}) })
  if (!entry) return null
  const good = Number(entry.act['good'])
  const scrap = Number(entry.act['scrap'])
  const total = scrap ? scrapWords(scrap, one.reason) : goodWords(good)
  entry.words = { zh: total[0], en: total[1] }
  noteUndoable(entry)
  showBand('ok', total, undefined, scrap ? 'scrap' : 'ok')
  return entry
}

/** Takes one's own act back within ten seconds: a counter-event, never an edit. */
export async function undo(entry: QueueEntry): Promise<void> {
  const opposite: Effect | null = entry.effect && { ...entry.effect, good: -entry.effect.good, scrap: -entry.effect.scrap }
  const words: Pair = [`撤销 ${entry.words.zh}`, `taken back: ${entry.words.en}`]
  await send({ type: 'production.undo', reverses: entry.act.event_id }, words, { effect: opposite, person: entry.person, badge: entry.badge })
  showBand('ok', [`↶ 已撤销：${entry.words.zh}`, `↶ Taken back: ${entry.words.en}`])
}

/** Takes an act back by its id (from the list of last acts), while the server still allows it. */
export function takeBack(reverses: string, what: Pair): Promise<QueueEntry | null> {
  return send({ type: 'production.undo', reverses }, [`撤销 ${what[0]}`, `taken back: ${what[1]}`])
}

/** What a person can tap can be taken back for ten seconds, whatever it was. */
async function undoable(sending: Promise<QueueEntry | null>): Promise<QueueEntry | null> {
  const entry = await sending
  if (entry) noteUndoable(entry)
  return entry
}

// --- running -------------------------------------------------------------------------------------------------------------------------
export function startOperation(operation: string, machine: string, unverified: boolean, at?: number): Promise<QueueEntry | null> {
  const fields: Fields = { type: 'operation.start', operation, machine }
  if (unverified) fields['unverified'] = true
  return undoable(send(fields, [`开始 ${operation} · ${machine}`, `start ${operation} · ${machine}`], at === undefined ? {} : { at }))
}
export function interruptOperation(operation: string, machine: string, at?: number): Promise<QueueEntry | null> {
  return undoable(send({ type: 'operation.interrupt', operation, machine }, [`暂停 ${operation}`, `pause ${operation}`], at === undefined ? {} : { at }))
}
export function completeOperation(operation: string, at?: number): Promise<QueueEntry | null> {
  return undoable(send({ type: 'operation.complete', operation }, [`完工 ${operation}`, `finish ${operation}`], at === undefined ? {} : { at }))
}

// --- the rest ------------------------------------------------------------------------------------------------------------------------
export function explainStop(machine: string, from: string, reason: ReasonTile, note?: string): Promise<QueueEntry | null> {
  const fields: Fields = { type: 'stop.explain', machine, stop_from: from, reason: reason.code }
  if (note) fields['note'] = note
  return send(fields, [`停机原因 ${machine}：${reason.zh}`, `stop reason ${machine}: ${reason.en}`])
}
export function callHelp(machine: string, kind: 'leader' | 'maintenance' | 'quality' | 'material', words: Pair): Promise<QueueEntry | null> {
  return send({ type: 'help.call', machine, kind }, [`呼叫${words[0]} · ${machine}`, `call ${words[1]} · ${machine}`])
}
export function answerHelp(call: string, machine: string, words: Pair): Promise<QueueEntry | null> {
  return send({ type: 'help.answer', call }, [`${words[0]}已到 · ${machine}`, `${words[1]} is here · ${machine}`])
}
export function consume(operation: string, lot: string, quantity: number): Promise<QueueEntry | null> {
  return undoable(send({ type: 'material.consume', operation, lot, quantity }, [`投料 ${lot} × ${quantity}`, `consumed ${lot} × ${quantity}`]))
}
export function produceSerial(job: Job, serial: string): Promise<QueueEntry | null> {
  const words: Pair = [`下线 ${serial}`, `produced ${serial}`]
  return undoable(send({ type: 'material.produce', operation: job.operation.id, machine: job.machine, serial, quantity: 1 }, words))
}
export interface Defect {
  subject: Subject
  code: string
  quantity: number
  hold: boolean
  note?: string
}
export function logDefect(defect: Defect, name: ReasonTile, photos: PhotoRow[]): Promise<QueueEntry | null> {
  const words: Pair = [`缺陷 ${name.zh} · ${defect.subject.code}`, `defect ${name.en} · ${defect.subject.code}`]
  return send({ type: 'defect.log', ...defect, photos: photos.map((one) => one.id) }, words, { photos })
}
export function placeHold(subject: Subject, reason: ReasonTile): Promise<QueueEntry | null> {
  return send({ type: 'hold.place', subject, reason: reason.code }, [`冻结 ${subject.code}：${reason.zh}`, `hold ${subject.code}: ${reason.en}`])
}
export function correctAct(reverses: string, reason: ReasonTile): Promise<QueueEntry | null> {
  const words: Pair = [`更正为 0：${reason.zh}`, `corrected to 0: ${reason.en}`]
  return send({ type: 'production.correct', reverses, good: 0, scrap: 0, reason: reason.code }, words)
}

