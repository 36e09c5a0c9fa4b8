/** Reading for a page: what is asked follows `key`, answers that came too late are dropped, the live stream asks for a new look. */
import { onBeforeUnmount, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'
import { ApiError } from '@gemba/web_kit/api/problem'
import { onLive, onResync } from '@gemba/web_kit/live'

export interface Loaded<T> {
  data: ShallowRef<T | null>
  error: Ref<ApiError | null>
  loading: Ref<boolean>
  reload: () => Promise<void>
}

let reading = 0
/** Marks the document while anything is being read: a picture or a print can wait for it. */
function mark(by: 1 | -1): void {
  reading += by
  document.documentElement.toggleAttribute('data-reading', reading > 0)
}

/** `read` is called at once and whenever `key()` changes. Old data stay on the screen while new ones are read, and go when the key changed and reading failed. */
export function useLoad<T>(key: () => unknown, read: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const data = shallowRef<T | null>(null)
  const error = ref<ApiError | null>(null)
  const loading = ref(false)
  let current: AbortController | null = null

  async function run(changed: boolean): Promise<void> {
    current?.abort()
    const mine = (current = new AbortController())
    loading.value = true
    mark(1)
    try {
      const found = await read(mine.signal)
      if (mine.signal.aborted) return
      data.value = found
      error.value = null
    } catch (failed) {
      if (mine.signal.aborted) return
      if (!(failed instanceof ApiError)) throw failed
      error.value = failed
      if (changed) data.value = null
    } finally {
      mark(-1)
      if (current === mine) loading.value = false
    }
  }

  watch(() => JSON.stringify(key()), () => void run(true), { immediate: true })
  onBeforeUnmount(() => current?.abort())
  return { data, error, loading, reload: () => run(false) }
}

/** Reads again after events of these topics, at most once in `everyMs`, and after each reconnect. */
export function useRefresh(topics: string[], reload: () => Promise<void>, everyMs = 3_000): void {
  let waiting: ReturnType<typeof setTimeout> | null = null
  const soon = (): void => {
    waiting ??= setTimeout(() => {
      waiting = null
      if (!document.hidden) void reload()
    }, everyMs)
  }
  const stops = [...topics.map((topic) => onLive(topic, soon)), onResync(soon)]
  onBeforeUnmount(() => {
    for (const stop of stops) stop()
    if (waiting) clearTimeout(waiting)
  })
}

/** Reads again each `everyMs` real milliseconds while the page is visible. */
export function useInterval(run: () => void, everyMs: number): void {
  const timer = setInterval(() => {
    if (!document.hidden) run()
  }, everyMs)
  onBeforeUnmount(() => clearInterval(timer))
}
