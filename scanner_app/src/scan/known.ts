/** What this tablet can say about a code by itself: from the station's home, from the plant, from what it has seen before. Then the server. */
import { get } from '@gemba/web_kit/api/client'
import { ApiError } from '@gemba/web_kit/api/problem'
import type { Read } from '@gemba/web_kit/scan/codes'
import { home, plant } from '../state/home'
import { keep, kept } from '../state/db'
import { net, netDown, netUp } from '../state/net'
import type { ScanAnswer } from '../types'

const SEEN_MAX = 400
const ANSWER_MS = 4_000
let seen: Record<string, ScanAnswer> = {}

export async function loadSeen(): Promise<void> {
  seen = (await kept<Record<string, ScanAnswer>>('seen')) ?? {}
}

/** `offline`: nobody could say. */
export type Resolved = { answer: ScanAnswer; fresh: boolean } | { answer: null; why: 'offline' | 'unknown' | 'refused'; problem?: ApiError }

/** Reasons, machines and running operations need no server; the rest is asked, and from memory when the network is away. */
export async function resolve(read: Read): Promise<Resolved> {
  const local = localAnswer(read)
  if (local && (local.kind === 'reason' || local.kind === 'machine' || local.kind === 'station')) return { answer: local, fresh: true }
  if (net.value !== 'offline') {
    try {
      const answer = await get<ScanAnswer>('/scan', { code: read.raw }, AbortSignal.timeout(ANSWER_MS))
      netUp()
      if (answer.kind !== 'unknown' && answer.kind !== 'misread') remember(read.raw, answer)
      return { answer, fresh: true }
    } catch (error) {
      if (error instanceof ApiError && !error.again) return { answer: null, why: error.status === 404 ? 'unknown' : 'refused', problem: error }
      netDown()
    }
  }
  const old = local ?? seen[read.raw]
  return old ? { answer: old, fresh: false } : { answer: null, why: 'offline' }
}

function remember(raw: string, answer: ScanAnswer): void {
  const rest = Object.entries(seen).filter(([code]) => code !== raw)
  seen = Object.fromEntries([...rest.slice(-SEEN_MAX + 1), [raw, answer]])
  void keep('seen', seen)
}

function localAnswer(read: Read): ScanAnswer | null {
  const { kind, code, raw } = read
  const is = (wanted: string): boolean => kind === wanted || (kind === 'other' && raw === code)
  const answer = (as: ScanAnswer['kind'], name: object, data: object): ScanAnswer => {
    const one = name as Record<string, string>
    return { kind: as, code, label_zh: one['name_zh'] ?? one['zh'] ?? code, label_en: one['name_en'] ?? one['en'] ?? code, data: data as Record<string, unknown> }
  }
  if (is('reason')) {
    const reason = [...(home.value?.stop_reasons ?? []), ...(home.value?.scrap_reasons ?? []), ...(plant.value?.reasons ?? [])].find((one) => one.code === code)
    if (reason) return answer('reason', reason, reason)
  }
  if (is('machine')) {
    const machine = plant.value?.machines.find((one) => one.code === code)
    if (machine) return answer('machine', machine, machine)
  }
  if (kind === 'other') {
    const station = plant.value?.stations.find((one) => one.code === code)
    if (station) return answer('station', station, station)
  }
  if (is('operation')) {
    const found = [...(home.value?.jobs ?? []), ...(home.value?.next ?? [])].find((one) => one.operation.id === code)
    if (found) return answer('operation', found.operation, { operation: found.operation, order: found.order })
  }
  if (is('order')) {
    const found = [...(home.value?.jobs ?? []), ...(home.value?.next ?? [])].find((one) => one.order.number === code)
    if (found) return answer('order', found.order.item, { order: { ...found.order, operations: [found.operation] } })
  }
  if (is('lot')) {
    const lot = home.value?.loaded.find((one) => one.lot === code)
    if (lot) return answer('lot', { zh: lot.lot, en: lot.lot }, { lot: { ...lot } })
  }
  if (kind === 'lot' || kind === 'serial') return answer(kind, { zh: code, en: code }, {}) // the check character vouches for it
  return null
}
