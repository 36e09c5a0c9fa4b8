/**
 * The live stream: one SSE connection for all tabs of this browser, resumed by Last-Event-ID, honest about silence.
 *
 * Read by fetch, not EventSource: it can carry a bearer token and tell a refusal from a broken line. Where the browser has locks (secure
 * contexts) one tab holds the connection and hands every event to the others by BroadcastChannel; else each tab has its own.
 */
import { computed, ref } from 'vue'
import { headersFor, syncClock, urlOf } from './api/client'
import { plantNow } from './clock'

export interface LiveEvent {
  topic: string
  data: Record<string, unknown>
}
type Handler = (event: LiveEvent) => void

/** Silence longer than this (real time) means: what is on the screen may be old. The server beats every 10 s. */
export const STALE_AFTER_MS = 25_000
const RETRY_MS_MAX = 15_000

const topics = new Set<string>()
const handlers = new Map<Handler, string>()
const resyncHandlers = new Set<() => void>()
const heardAt = ref<number | null>(null) // performance.now()
const tick = ref(performance.now())
/** Plant time of the last word from the server: "data from 14:31". */
export const freshAt = ref<number | null>(null)
/** starting → live ⇄ stale. */
export const liveState = computed<'starting' | 'live' | 'stale'>(() => {
  if (heardAt.value === null) return tick.value > STALE_AFTER_MS ? 'stale' : 'starting'
  return tick.value - heardAt.value > STALE_AFTER_MS ? 'stale' : 'live'
})
export const isStale = computed(() => liveState.value === 'stale')

let lastId: string | null = null
let channel: BroadcastChannel | null = null
let started = false
let abort: AbortController | null = null

/** Calls `handler` for each event of `topic` (`machine:MC-01`, or `machine` for all machines). Returns the way to stop. */
export function onLive(topic: string, handler: Handler): () => void {
  handlers.set(handler, topic)
  return () => handlers.delete(handler)
}

/** Called whenever the stream (re)starts: read the snapshot again, events may have been missed. Returns the way to stop. */
export function onResync(handler: () => void): () => void {
  resyncHandlers.add(handler)
  return () => resyncHandlers.delete(handler)
}

function heard(): void {
  heardAt.value = performance.now()
  tick.value = heardAt.value
  freshAt.value = plantNow()
}

function deliver(topic: string, data: Record<string, unknown>): void {
  heard()
  if (topic === 'beat') return
  if (topic === 'hello') {
    for (const handler of resyncHandlers) handler()
    return
  }
  for (const [handler, wanted] of handlers) {
    if (topic === wanted || topic.split(':', 1)[0] === wanted) handler({ topic, data })
  }
}

/** One SSE block ("id: …\nevent: …\ndata: …") to its parts; null for a comment. */
export function parseBlock(block: string): { id: string | null; event: string; data: string } | null {
  const out = { id: null as string | null, event: 'message', data: '' }
  let any = false
  for (const line of block.split('\n')) {
    const at = line.indexOf(':')
    if (at <= 0) continue
    const value = line.slice(at + 1).replace(/^ /, '')
    const field = line.slice(0, at)
    if (field === 'id') out.id = value
    else if (field === 'event') out.event = value
    else if (field === 'data') out.data = out.data ? `${out.data}\n${value}` : value
    else continue
    any = true
  }
  return any ? out : null
}

async function readStream(signal: AbortSignal): Promise<void> {
  const extra: Record<string, string> = { Accept: 'text/event-stream' }
  if (lastId !== null) extra['Last-Event-ID'] = lastId
  const response = await fetch(urlOf('/live', { topics: [...topics].join(',') }), { headers: headersFor('GET', extra), signal, credentials: 'same-origin', cache: 'no-store' })
  if (!response.ok || !response.body) throw new Error(`live ${response.status}`)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let buffer = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    buffer += value
    const blocks = buffer.split('\n\n')
    buffer = blocks.pop() ?? ''
    for (const text of blocks) {
      const block = parseBlock(text)
      if (!block) continue
      if (block.id !== null) lastId = block.id
      const data = (block.data ? JSON.parse(block.data) : {}) as Record<string, unknown>
      deliver(block.event, data)
      channel?.postMessage({ topic: block.event, data })
    }
  }
}

async function keepReading(signal: AbortSignal): Promise<void> {
  let wait = 1_000
  while (!signal.aborted) {
    const began = performance.now()
    const watchdog = new AbortController()
    const silent = setInterval(() => {
      if (performance.now() - (heardAt.value ?? began) > STALE_AFTER_MS && performance.now() - began > STALE_AFTER_MS) watchdog.abort()
    }, 2_000)
    try {
      await syncClock()
      await readStream(AbortSignal.any([signal, watchdog.signal]))
    } catch {
      // Any reason at all: no answer, refused, cut. The state on the screen comes from the silence, and the next try follows.
    }
    clearInterval(silent)
    wait = performance.now() - began > 30_000 ? 1_000 : Math.min(wait * 1.7, RETRY_MS_MAX)
    await new Promise((resolve) => setTimeout(resolve, wait * (0.7 + Math.random() * 0.6)))
  }
}

/** Starts the stream once for this page. `share` hands one connection to all tabs (desks); tablets and walls have one tab and keep their own. */
export function startLive(wanted: string[], share: boolean): void {
  for (const one of wanted) topics.add(one)
  if (started) return
  started = true
  abort = new AbortController()
  setInterval(() => (tick.value = performance.now()), 1_000)
  const signal = abort.signal
  if (!share || !('locks' in navigator) || !('BroadcastChannel' in window)) {
    void keepReading(signal)
    return
  }
  channel = new BroadcastChannel('gemba-live')
  channel.onmessage = (message: MessageEvent<LiveEvent>) => deliver(message.data.topic, message.data.data)
  void syncClock().catch(() => undefined)
  void navigator.locks.request('gemba-live', { signal }, () => keepReading(signal)).catch(() => undefined)
}

/** Ends the stream (signing out). */
export function stopLive(): void {
  abort?.abort()
  channel?.close()
  channel = null
  started = false
  lastId = null
  heardAt.value = null
}
