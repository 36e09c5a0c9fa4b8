/** Calls for help made here: one is only "called" when the server has it; until then, after three seconds, it says so in red. */
import { plantNow } from '@gemba/web_kit/clock'
import { computed, reactive } from 'vue'
import { answerHelp, callHelp } from '../acts/acts'
import { onSettled } from '../outbox/outbox'
import { feel } from '@gemba/web_kit/sound/feedback'
import { showBand } from './band'
import { home } from './home'
import { net } from './net'
import type { WordKey } from '../words'
import type { Pair } from '@gemba/web_kit/i18n'

export type HelpKind = 'leader' | 'maintenance' | 'quality' | 'material'
export const HELP: Record<HelpKind, { word: WordKey; pair: Pair }> = {
  leader: { word: 'leader', pair: ['班组长', 'leader'] },
  maintenance: { word: 'maintenance', pair: ['维修', 'maintenance'] },
  material: { word: 'material_help', pair: ['物料', 'material'] },
  quality: { word: 'quality', pair: ['质量', 'quality'] },
}
interface Call {
  id: string
  machine: string
  kind: HelpKind
  word: WordKey
  late: boolean
  at: number
}
const NOT_DELIVERED_MS = 3000

export const calls = reactive<Call[]>([])
/** Ended here, while the server's list may not know it yet. */
const answered = reactive(new Set<string>())
export const openCalls = computed(() => (home.value?.calls ?? []).filter((one) => !answered.has(one.call)))

/** Two taps and it is on its way; the same kind again is not a second call. */
export async function call(machine: string, kind: HelpKind): Promise<void> {
  const { word, pair } = HELP[kind]
  if ([...calls, ...openCalls.value].some((one) => one.machine === machine && one.kind === kind)) {
    return showBand('ask', [`已在呼叫${pair[0]}`, `${pair[1]} is already called`])
  }
  const entry = await callHelp(machine, kind, pair)
  if (!entry) return
  const one: Call = reactive({ id: entry.act.event_id, machine, kind, word, late: net.value === 'offline', at: plantNow() })
  calls.push(one)
  if (one.late) notDelivered(one)
  else window.setTimeout(() => { if (calls.includes(one)) notDelivered(one) }, NOT_DELIVERED_MS)
}

/** Whoever was called is here: the call ends on every tablet of the machine. */
export async function came(one: { call: string; machine: string; kind: HelpKind }): Promise<void> {
  if (await answerHelp(one.call, one.machine, HELP[one.kind].pair)) answered.add(one.call)
}

function notDelivered(one: Call): void {
  one.late = true
  feel('error')
  showBand('error', ['没有送达，请直接叫人！', 'NOT delivered, call out loud!'], ['联网后会继续发送并显示时间。', 'It keeps trying and shows the minute it got through.'])
}

onSettled(({ entry, outcome }) => {
  const one = calls.find((found) => found.id === entry.act.event_id)
  if (!one) return
  calls.splice(calls.indexOf(one), 1) // from here on the server's own list shows it
  if (outcome === 'refused') return
  showBand('ok', [`已呼叫${HELP[one.kind].pair[0]}，已送达`, `${HELP[one.kind].pair[1]} called, delivered`])
})
