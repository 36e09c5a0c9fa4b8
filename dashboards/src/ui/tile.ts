/** What a machine tile says, the same on the plant page and on the wall. */
import type { Tile } from '@gemba/web_kit/api/types'
import { msOf } from '@gemba/web_kit/format'
import { inLang } from '@gemba/web_kit/i18n'
import { lookOf, type StateLook } from '@gemba/web_kit/states'
import { alarmName } from '../plant'

/** Silence is no state: a stale tile is shown as no data with the time of its last word. */
export function tileLook(tile: Tile): StateLook {
  return lookOf(tile.stale ? 'no_data' : tile.state)
}

/** Seconds the state has lasted at plant time `nowMs`; null when its start or the state is unknown. */
export function tileSeconds(tile: Tile, nowMs: number | null): number | null {
  const since = msOf(tile.since)
  return tile.stale || since === null || nowMs === null ? null : Math.max(0, (nowMs - since) / 1000)
}

/** Why it stands, as far as anyone or any alarm has said. */
export function tileReason(tile: Tile): string {
  return inLang(tile, 'reason') || inLang(tile, 'alarm') || alarmName(tile.alarm, tile.code)
}

/** A machine that waits says so itself; one that stopped without reason or alarm needs somebody's word. */
export const needsWord = (tile: Tile): boolean => tileLook(tile).tone === 'stop' && !tileReason(tile)

export const isAbnormal = (tile: Tile): boolean => ['stop', 'wait'].includes(tileLook(tile).tone)

/** A machine's newest word from the live stream: what its own controller says, before anything is composed. */
export interface LiveWord {
  at?: string | null
  since?: string | null
  state?: string | null
  alarm?: string | null
  stale?: boolean
}

/** The tile with a newest word in it. Words that belonged to the state before (reason, alarm text) go with it until the snapshot is read again. */
export function withWord(tile: Tile, word: LiveWord): Tile {
  const moved = stateMoved(tile, word)
  const known = { state: word.state ?? tile.state, since: word.since ?? tile.since, alarm: word.alarm ?? tile.alarm, stale: word.stale ?? tile.stale, known_until: word.at ?? tile.known_until }
  return moved ? { ...tile, ...known, reason_zh: null, reason_en: null, alarm_zh: null, alarm_en: null } : { ...tile, ...known }
}

export function stateMoved(tile: Tile, word: LiveWord): boolean {
  return (word.state !== undefined && word.state !== null && word.state !== tile.state) || (word.alarm !== undefined && word.alarm !== null && word.alarm !== tile.alarm) || (word.stale !== undefined && word.stale !== tile.stale)
}
