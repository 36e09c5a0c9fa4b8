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

export const isAbnormal = (tile: Tile): boolean => ['stop', 'wait'].includes(tileLook(tile).tone)
