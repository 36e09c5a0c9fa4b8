/** The station's home: the server's last answer (kept for offline), the chosen machine, and the numbers with what waits laid over them. */
import { get } from '@gemba/web_kit/api/client'
import { ApiError } from '@gemba/web_kit/api/problem'
import type { Plant } from '@gemba/web_kit/api/types'
import { zone } from '@gemba/web_kit/format'
import { onLive, onResync, startLive } from '@gemba/web_kit/live'
import { computed, ref, shallowRef } from 'vue'
import { overlaid } from '../acts/overlay'
import { queue, settled, onSettled } from '../outbox/outbox'
import type { HomeAnswer, HomeMachine, Job, OpenStop } from '../types'
import { keep, kept } from './db'
import { canRead } from './people'
import { net, netDown, netUp, onNetUp } from './net'
import { station } from './settings'

export const home = shallowRef<HomeAnswer | null>(null)
export const plant = shallowRef<Plant | null>(null)
/** The machine the screen is about, where a station has several. */
export const machineCode = ref<string | null>(null)
/** Why the station cannot be read, in the server's words. */
export const homeProblem = shallowRef<ApiError | null>(null)
let loading = false
let loadAgain = false
let timer = 0

export const machine = computed<HomeMachine | null>(() => {
  const all = home.value?.machines ?? []
  return all.find((one) => one.code === machineCode.value) ?? all[0] ?? null
})
export const job = computed<Job | null>(() => jobOn(machine.value?.code ?? null))

export function jobOn(code: string | null): Job | null {
  return home.value?.jobs.find((one) => one.machine === code) ?? null
}

const mirrored = computed(() => new Set((home.value?.last_acts ?? []).map((act) => act.event_id)))

/** Good and scrap as a person must see them now. */
export function numbersOf(one: Job): { good: number; scrap: number } {
  return overlaid(one.operation, one.operation.id, queue, settled, mirrored.value)
}

/** Stops that still want a reason, without those answered on this tablet. */
export const openStops = computed<OpenStop[]>(() => {
  const answered = new Set([...queue, ...settled].filter((e) => e.act.type === 'stop.explain' && e.state !== 'refused').map((e) => `${e.act['machine']}|${Date.parse(String(e.act['stop_from']))}`))
  return (home.value?.open_stops ?? []).filter((stop) => !answered.has(`${stop.machine}|${Date.parse(stop.from)}`))
})

/** What this tablet knew of the station last time; what the server has said meanwhile is never replaced by it. */
export async function loadStation(): Promise<void> {
  const code = station.value
  const [oldPlant, oldHome] = await Promise.all([kept<Plant>('plant'), code ? kept<HomeAnswer>(`home:${code}`) : undefined])
  if (!plant.value && oldPlant) {
    plant.value = oldPlant
    zone.value = oldPlant.site?.zone ?? zone.value
  }
  if (code === station.value && stationOf(home.value) !== code) home.value = oldHome ?? null
}

const stationOf = (one: HomeAnswer | null): string | null => (typeof one?.station === 'object' ? one.station.code : (one?.station ?? null))

export function refreshSoon(ms = 250): void {
  window.clearTimeout(timer)
  timer = window.setTimeout(() => void refresh(), ms)
}

export async function refresh(): Promise<void> {
  const code = station.value
  if (!code || !canRead()) return
  if (loading) {
    loadAgain = true
    return
  }
  loading = true
  const before = settled.map((entry) => entry.act.event_id)
  try {
    const answer = await get<HomeAnswer>(`/stations/${encodeURIComponent(code)}/home`, undefined, AbortSignal.timeout(8_000))
    if (code === station.value) {
      home.value = answer
      homeProblem.value = null
      for (const id of before) {
        const at = settled.findIndex((entry) => entry.act.event_id === id)
        if (at >= 0) settled.splice(at, 1)
      }
      void keep(`home:${code}`, answer)
    }
    netUp()
  } catch (error) {
    if (error instanceof ApiError && !error.offline) homeProblem.value = error
    else netDown()
  } finally {
    loading = false
    if (loadAgain) {
      loadAgain = false
      refreshSoon(50)
    }
  }
}

export async function refreshPlant(): Promise<void> {
  if (!canRead()) return
  try {
    plant.value = await get<Plant>('/plant')
    zone.value = plant.value.site?.zone ?? zone.value
    void keep('plant', plant.value)
  } catch {
    if (!plant.value) window.setTimeout(() => void refreshPlant(), 2_000) // nothing to stand on yet
  }
}

/** Live topics wake a fresh read; a slow clock does so too, in case a proxy swallows the stream. */
export function watchHome(): void {
  startLive(['machine', 'operation', 'order', 'stop', 'quality', 'acts'], false)
  for (const topic of ['machine', 'operation', 'order', 'stop', 'quality', 'acts']) {
    onLive(topic, ({ topic: full }) => { if (concerns(full)) refreshSoon(topic === 'stop' ? 50 : 600) })
  }
  onResync(() => refreshSoon(50))
  onNetUp(() => { refreshSoon(50); void refreshPlant() })
  onSettled(() => refreshSoon(150))
  window.setInterval(() => { if (net.value === 'online' && document.visibilityState === 'visible') refreshSoon(0) }, 15_000)
}

function concerns(topic: string): boolean {
  const [kind, detail] = topic.split(':')
  if (!home.value || detail === undefined) return true
  if (kind === 'machine' || kind === 'stop') return home.value.machines.some((one) => one.code === detail)
  if (kind === 'operation') return home.value.jobs.some((one) => one.operation.id === detail) || home.value.next.some((one) => one.operation.id === detail)
  return true
}
