/** How a machine state looks everywhere: shape, word, tone. Colour never stands alone. */
import { lang, say, type Pair } from './i18n'

export type MachineState = 'producing' | 'idle' | 'stopped' | 'fault' | 'setup' | 'blocked' | 'starved' | 'maintenance' | 'off' | 'no_data'
export type Tone = 'run' | 'stop' | 'wait' | 'setup' | 'idle' | 'maintenance' | 'off' | 'unknown'

export interface StateLook {
  tone: Tone
  shape: string
  word: Pair
}

export const STATES: Record<MachineState, StateLook> = {
  producing: { tone: 'run', shape: '▶', word: ['运行', 'Running'] },
  idle: { tone: 'idle', shape: '○', word: ['空闲', 'Idle'] },
  stopped: { tone: 'stop', shape: '■', word: ['停机', 'Stopped'] },
  fault: { tone: 'stop', shape: '■', word: ['故障', 'Fault'] },
  setup: { tone: 'setup', shape: '◆', word: ['换型', 'Setup'] },
  blocked: { tone: 'wait', shape: '▲', word: ['堵料', 'Blocked'] },
  starved: { tone: 'wait', shape: '▲', word: ['待料', 'Starved'] },
  maintenance: { tone: 'maintenance', shape: '◇', word: ['保养', 'Maintenance'] },
  off: { tone: 'off', shape: '○', word: ['关机', 'Off'] },
  no_data: { tone: 'unknown', shape: '▨', word: ['无数据', 'No data'] },
}

/** An unknown state of a newer server is shown as no data, never as running. */
export function lookOf(state: string | null | undefined): StateLook {
  return STATES[state as MachineState] ?? STATES.no_data
}

export function stateWord(state: string | null | undefined): string {
  return say(lookOf(state).word)
}

/** Why nothing is known: the causes of gap records, in words. */
const CAUSES: Record<string, Pair> = {
  edge_down: ['采集器停机', 'Edge was down'],
  source_lost: ['设备或电表无应答', 'Machine or meter did not answer'],
  overflow: ['设备队列溢出', 'Queue overflowed in the machine'],
  buffer_full: ['采集器缓存已满', 'Edge buffer was full'],
  damaged: ['采集器缓存数据损坏', 'Edge buffer was damaged'],
  clock: ['采集器时钟被调整', 'Edge clock was set'],
  bad_quality: ['设备报告数值无效', 'Machine called its value bad'],
  new_buffer: ['采集器缓存更换', 'New edge buffer'],
  not_yet_known: ['尚未收到', 'Not yet received'],
  not_watched: ['当时未采集', 'Not watched then'],
}
export function causeWord(cause: string | null | undefined): string {
  if (!cause) return lang.value === 'zh' ? '原因未知' : 'cause unknown'
  const known = CAUSES[cause]
  return known ? say(known) : cause.replace(/_/g, ' ')
}
