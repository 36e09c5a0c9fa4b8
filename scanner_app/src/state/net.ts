/**
 * Online is proven, never painted: a heartbeat asks the server's clock every 8 s (4 s to answer), and any request that gets no answer says so
 * at once. Also keeps plant time across an offline reload.
 */
import { setPlantTime, plantNow, plantSpeed } from '@gemba/web_kit/clock'
import { request } from '@gemba/web_kit/api/client'
import type { ClockNow } from '@gemba/web_kit/api/types'
import { ref } from 'vue'
import { keep, kept } from './db'

const BEAT_MS = 8_000
const BEAT_OFFLINE_MS = 5_000
const ANSWER_MS = 4_000

export type Net = 'unknown' | 'online' | 'offline'
export const net = ref<Net>('unknown')
/** Plant ms since when it is so. */
export const netSince = ref<number | null>(null)
const upListeners = new Set<() => void>()
let timer = 0

export function onNetUp(listener: () => void): void {
  upListeners.add(listener)
}

export function netUp(): void {
  if (net.value === 'online') return
  net.value = 'online'
  netSince.value = plantNow()
  for (const listener of upListeners) listener()
}

export function netDown(): void {
  if (net.value === 'offline') return
  net.value = 'offline'
  netSince.value = plantNow()
  schedule(BEAT_OFFLINE_MS)
}

async function beat(): Promise<void> {
  const asked = performance.now()
  try {
    const now = await request<ClockNow>('GET', '/clock', { timeoutMs: ANSWER_MS })
    setPlantTime(now.now, now.speed, (asked + performance.now()) / 2)
    netUp()
    void keep('clock', { plantMs: plantNow(), wallMs: Date.now(), speed: plantSpeed() })
  } catch {
    netDown() // any failure at all: not proven
  }
  schedule(net.value === 'online' ? BEAT_MS : BEAT_OFFLINE_MS)
}

function schedule(ms: number): void {
  window.clearTimeout(timer)
  timer = window.setTimeout(() => void beat(), ms)
}

/** Starts the heartbeat. Before the first answer plant time is carried on from the last one this tablet heard. */
export async function startHeartbeat(): Promise<void> {
  const last = await kept<{ plantMs: number; wallMs: number; speed: number }>('clock')
  if (last) setPlantTime(new Date(last.plantMs + (Date.now() - last.wallMs) * last.speed).toISOString(), last.speed)
  window.addEventListener('offline', netDown)
  window.addEventListener('online', () => void beat())
  document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible') void beat() })
  await beat()
}
