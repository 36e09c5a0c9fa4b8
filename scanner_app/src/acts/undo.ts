/** The ten seconds after a number: what may still be taken back with one tap. The last one first. */
import { computed, ref, shallowReactive } from 'vue'
import type { QueueEntry } from '../outbox/logic'

export const UNDO_MS = 10_000

interface Undoable {
  entry: QueueEntry
  until: number
}
const list = shallowReactive<Undoable[]>([])
const now = ref(performance.now())

window.setInterval(() => {
  if (list.length === 0) return
  now.value = performance.now()
  while (list[0] && list[0].until <= now.value) list.shift()
}, 200)

/** A merged tap starts its ten seconds anew. */
export function noteUndoable(entry: QueueEntry): void {
  const at = list.findIndex((one) => one.entry.act.event_id === entry.act.event_id)
  if (at >= 0) list.splice(at, 1)
  now.value = performance.now()
  list.push({ entry, until: now.value + UNDO_MS })
}

export function dropUndoable(eventId: string): void {
  const at = list.findIndex((one) => one.entry.act.event_id === eventId)
  if (at >= 0) list.splice(at, 1)
}

export const lastUndoable = computed<QueueEntry | null>(() => list[list.length - 1]?.entry ?? null)
export const undoSeconds = computed(() => Math.max(0, Math.ceil(((list[list.length - 1]?.until ?? 0) - now.value) / 1000)))
/** Everything the bar names, oldest first. */
export const undoables = computed(() => list.map((one) => one.entry))
