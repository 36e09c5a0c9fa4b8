/** Live words into a view's tiles: state at once, everything composed (reason, counts) with the snapshot read soon after. */
import { onBeforeUnmount, type ShallowRef } from 'vue'
import type { Tile } from '@gemba/web_kit/api/types'
import { onLive } from '@gemba/web_kit/live'
import { plant } from '../plant'
import { stateMoved, withWord, type LiveWord } from '../ui/tile'

/** The snapshot is read again this soon after a state changed. */
const SETTLE_MS = 1_500

/** `get`/`set` reach the tiles inside the view's data. */
export function useLiveTiles<T>(data: ShallowRef<T | null>, get: (view: T) => Tile[], set: (view: T, tiles: Tile[]) => T, reload: () => Promise<void>): void {
  let waiting: ReturnType<typeof setTimeout> | null = null
  const change = (code: string | undefined, how: (tile: Tile) => Tile): void => {
    const view = data.value
    if (view && code && get(view).some((one) => one.code === code)) data.value = set(view, get(view).map((one) => (one.code === code ? how(one) : one)))
  }
  const stops = [
    onLive('machine', ({ topic, data: said }) => {
      const code = topic.slice('machine:'.length)
      const word = said as LiveWord
      const tile = data.value ? get(data.value).find((one) => one.code === code) : undefined
      if (tile && stateMoved(tile, word)) waiting ??= setTimeout(() => {
        waiting = null
        void reload()
      }, SETTLE_MS)
      change(code, (one) => withWord(one, word))
    }),
    onLive('meter', ({ topic, data: said }) => {
      const machine = plant.value?.meters.find((one) => one.code === topic.slice('meter:'.length))?.machine
      const watts = said['power_w']
      if (typeof watts === 'number') change(machine ?? undefined, (one) => ({ ...one, power_w: watts }))
    }),
  ]
  onBeforeUnmount(() => {
    for (const stop of stops) stop()
    if (waiting) clearTimeout(waiting)
  })
}
