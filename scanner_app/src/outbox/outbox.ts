/**
 * The outbox: every act of the tablet goes through `post`, lands on the disk, is shown, and is sent when it can be; once, in order,
 * whatever reloads or crashes in between. One tab sends (Web Locks); the others write and tell it.
 */
import { headersFor, urlOf } from '@gemba/web_kit/api/client'
import { inPlantTime } from '@gemba/web_kit/format'
import { ref, shallowReactive } from 'vue'
import type { ActAnswer, Problem } from '../types'
import { database, plain, type PhotoRow } from '../state/db'
import { netDown, netUp } from '../state/net'
import { asBadgeOf, renew, tokenOf } from '../state/people'
import * as logic from './logic'
import type { Act, Effect, Outcome, QueueEntry } from './logic'

const SEND_TIMEOUT_MS = 15_000

/** Everything not yet done, in order (mirror of the store). */
export const queue = shallowReactive<QueueEntry[]>([])
/** Done, but perhaps not yet in the numbers last read from the server. */
export const settled = shallowReactive<QueueEntry[]>([])
/** The act that could not be written to the disk: shown in red, never swallowed. */
export const storageFailed = ref(false)
export const photosWaiting = ref(0)

export type Settled = { outcome: 'done' | 'refused'; entry: QueueEntry; answer: ActAnswer | null; problem: Problem | null }
type Listener = (settled: Settled) => void
const listeners = new Set<Listener>()
const signedOut = new Set<string>()
const channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('gemba-outbox') : null
let owner = false
let pumping = false
let again = false
let timer = 0
let failures = 0
let writes: Promise<unknown> = Promise.resolve()

export function onSettled(listener: Listener): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export interface NewAct {
  act: Act
  person: string
  badge?: string | null
  mergeKey?: string
  effect?: Effect | null
  words: { zh: string; en: string }
  photos?: PhotoRow[]
}

/** Takes an act. Resolves when it is on the disk, with the entry it is in (an earlier one where taps were joined). */
export function post(one: NewAct): Promise<QueueEntry> {
  const step = writes.then(() => write(one))
  writes = step.catch(() => undefined)
  return step
}

async function write(one: NewAct): Promise<QueueEntry> {
  const now = Date.now()
  const found = queue.find((entry) => logic.canMerge(entry, one.mergeKey ?? null, one.person, now))
  let entry: Omit<QueueEntry, 'n'> & { n?: number } = {
    act: one.act, person: one.person, badge: one.badge ?? null, mergeKey: one.mergeKey ?? null, holdUntil: one.mergeKey ? now + logic.MERGE_MS : now, createdAt: now, tries: 0,
    state: 'queued', problem: null, effect: one.effect ?? null, words: one.words, photos: (one.photos ?? []).map((photo) => photo.id),
  }
  try {
    const db = await database()
    const tx = db.transaction(['queue', 'photos'], 'readwrite', { durability: 'strict' })
    // another tab may have begun to send it: what is on its way takes no more, the tap is an act of its own then
    const kept = found && (await tx.objectStore('queue').get(found.n))
    if (kept?.tries === 0 && kept.state === 'queued') entry = logic.merged(kept, one.act, one.effect ?? null, one.words, now)
    entry.n = await tx.objectStore('queue').put(plain(entry) as QueueEntry)
    for (const photo of one.photos ?? []) await tx.objectStore('photos').put(photo)
    await tx.done
  } catch (error) {
    storageFailed.value = true
    throw error
  }
  storageFailed.value = false
  const done = entry as QueueEntry
  const at = queue.findIndex((one) => one.n === done.n) // the queue may have been read anew meanwhile
  if (at >= 0) queue.splice(at, 1, done)
  else queue.push(done)
  channel?.postMessage('changed')
  wake(0)
  return done
}

/** Reads what earlier pages left, then begins to send if no other tab does. */
export async function startOutbox(): Promise<void> {
  await reread()
  if (channel) channel.onmessage = () => void reread().then(() => wake(0))
  void navigator.storage?.persist?.()
  if ('locks' in navigator) void navigator.locks.request('gemba-outbox', () => new Promise<void>(() => begin()))
  else begin() // http:// in a plant has no locks; the same act twice is still one act for the server
}

function begin(): void {
  owner = true
  wake(0)
}

async function reread(): Promise<void> {
  const db = await database()
  const rows = await db.getAll('queue')
  queue.splice(0, queue.length, ...rows.sort((a, b) => a.n - b.n))
  photosWaiting.value = await db.count('photos')
}

/** Something changed (network back, signed in again, a new act): look for what can be sent. */
export function wake(afterMs: number): void {
  window.clearTimeout(timer)
  timer = window.setTimeout(() => void pump(), afterMs)
}

export function signedInAgain(person: string): void {
  signedOut.delete(person)
  failures = 0
  wake(0)
}

export const waitsForSignIn = (person: string): boolean => signedOut.has(person)

async function pump(): Promise<void> {
  if (!owner) return
  if (pumping) {
    again = true
    return
  }
  pumping = true
  try {
    for (;;) {
      again = false
      await writes
      const run = logic.nextRun(queue, signedOut, Date.now())
      if (run.entries.length === 0) {
        if (run.wakeAt !== null) wake(Math.max(20, run.wakeAt - Date.now() + 5))
        else if (again) continue
        break
      }
      if (!(await sendRun(run.entries, run.batch))) {
        wake(logic.backoffMs(failures++, Math.random()))
        break
      }
      failures = 0
    }
  } finally {
    pumping = false
  }
}

/** From here on nothing joins these acts, in this tab or another; what another tab joined to them just before goes along. */
async function claim(entries: QueueEntry[]): Promise<void> {
  for (const entry of entries) entry.tries++
  try {
    const db = await database()
    const tx = db.transaction('queue', 'readwrite')
    for (const entry of entries) {
      const kept = await tx.store.get(entry.n)
      if (kept) {
        if (kept.tries === 0) Object.assign(entry, { act: kept.act, effect: kept.effect, words: kept.words })
        await tx.store.put({ ...kept, tries: entry.tries })
      }
    }
    await tx.done
  } catch {
    // no room on the disk: they are sent all the same; only another tab would not know
  }
}

/** True when it is worth going on at once. */
async function sendRun(entries: QueueEntry[], batch: boolean): Promise<boolean> {
  await claim(entries)
  for (const entry of entries) if (!(await sendPhotosOf(entry))) return false
  const person = entries[0]!.person
  const acts = entries.map((entry) => ({ ...entry.act, ...asBadgeOf(entry.person, entry.act) }))
  const path = batch ? '/acts/batch' : '/acts'
  const waiting = queue.filter((one) => one.state !== 'refused').length - entries.length // the server says so beside its figures
  const body = batch ? { device_time: new Date().toISOString(), acts, waiting: Math.max(0, waiting) } : acts[0]
  const answer = await send(path, person, JSON.stringify(body), 'application/json')
  const outcome = logic.classify(answer.status, answer.body, batch)
  if (answer.status === 0) netDown()
  else netUp()
  if (outcome.kind === 'split') {
    for (const entry of entries) if (!(await sendRun([entry], false))) return false
    return true
  }
  if (outcome.kind === 'signed_out') {
    if (!(await renew(person, entries[0]!.badge))) signedOut.add(person)
    return true
  }
  if (outcome.kind === 'retry') return false
  const results = (answer.body as { results?: logic.BatchResult[] } | null)?.results
  if (!batch) await settle(entries[0]!, outcome, answer.body as ActAnswer)
  else {
    const outcomes = logic.batchOutcomes(entries, results ?? [])
    for (const entry of entries) await settle(entry, outcomes.get(entry.act.event_id)!, bodyOf(results, entry))
    return ![...outcomes.values()].some((one) => one.kind === 'retry')
  }
  return true
}

function bodyOf(results: logic.BatchResult[] | undefined, entry: QueueEntry): ActAnswer | null {
  return (results?.find((one) => one.event_id === entry.act.event_id) as ActAnswer | undefined) ?? null
}

async function settle(entry: QueueEntry, outcome: Outcome, answer: ActAnswer | null): Promise<void> {
  if (outcome.kind === 'retry' || outcome.kind === 'signed_out' || outcome.kind === 'split') return
  const at = queue.findIndex((one) => one.n === entry.n)
  if (at < 0) return
  const db = await database()
  if (outcome.kind === 'refused') {
    const problem = { ...outcome.problem, title: inPlantTime(outcome.problem.title) }
    const refused: QueueEntry = { ...queue[at]!, state: 'refused', problem }
    await db.put('queue', plain(refused))
    queue.splice(at, 1, refused)
    await dropUndoOf(refused)
    tell({ outcome: 'refused', entry: refused, answer: null, problem })
  } else {
    await db.delete('queue', entry.n)
    queue.splice(at, 1)
    settled.push(entry)
    if (settled.length > 200) settled.shift()
    tell({ outcome: 'done', entry, answer, problem: null })
  }
  channel?.postMessage('changed')
}

/** What was refused was never booked: taking it back has nothing to take. */
async function dropUndoOf(refused: QueueEntry): Promise<void> {
  for (const undo of queue.filter((one) => one.act['reverses'] === refused.act.event_id)) await dismiss(undo.n)
}

function tell(one: Settled): void {
  for (const listener of listeners) listener(one)
}

/** A person has read a refusal (or a supervisor gives an act up). */
export async function dismiss(n: number): Promise<void> {
  const db = await database()
  await db.delete('queue', n)
  const at = queue.findIndex((one) => one.n === n)
  if (at >= 0) queue.splice(at, 1)
  channel?.postMessage('changed')
}

/** Sends a refused act again unchanged (same id). */
export async function retry(n: number): Promise<void> {
  const at = queue.findIndex((one) => one.n === n)
  if (at < 0) return
  const entry: QueueEntry = { ...queue[at]!, state: 'queued', problem: null }
  const db = await database()
  await db.put('queue', plain(entry))
  queue.splice(at, 1, entry)
  failures = 0
  wake(0)
}

async function send(path: string, person: string, body: BodyInit, type: string, extra: Record<string, string> = {}): Promise<{ status: number; body: unknown }> {
  const token = tokenOf(person)
  const headers = { ...headersFor('POST'), 'Content-Type': type, ...extra, ...(token ? { Authorization: `Bearer ${token}` } : {}) }
  try {
    const response = await fetch(urlOf(path), { method: 'POST', headers, body, credentials: 'same-origin', signal: AbortSignal.timeout(SEND_TIMEOUT_MS) })
    const json: unknown = (response.headers.get('content-type') ?? '').includes('json') ? await response.json() : null
    return { status: response.status, body: json }
  } catch {
    return { status: 0, body: null } // no answer, cut or late: the same act goes again
  }
}

/** The pictures an act names go before it. One the server will not take (not a picture) leaves the act: the fact counts more. False: no line. */
async function sendPhotosOf(entry: QueueEntry): Promise<boolean> {
  if (entry.photos.length === 0) return true
  const db = await database()
  for (const id of entry.photos) {
    const row = await db.get('photos', id)
    if (!row) continue
    const { status, body } = await send('/photos', entry.person, row.blob, row.blob.type || 'image/jpeg', { 'X-Event-Id': row.event_id })
    const outcome = logic.classify(status, body, false)
    if (outcome.kind === 'retry' || outcome.kind === 'split') return false
    if (outcome.kind === 'signed_out') return true // the act itself will find out and renew the sign-in
    if (outcome.kind === 'refused') entry.act['photos'] = (entry.act['photos'] as string[]).filter((one) => one !== id)
    await db.delete('photos', id)
  }
  photosWaiting.value = await db.count('photos')
  return true
}
