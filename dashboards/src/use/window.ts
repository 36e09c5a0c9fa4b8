/** The window of time a page looks at: a production day, one shift of it, or any from–to; all in the address. */
import { computed, ref, watch, type ComputedRef, type Ref } from 'vue'
import type { ShiftWindow } from '@gemba/web_kit/api/types'
import { plantNow } from '@gemba/web_kit/clock'
import { addDays, isDay } from '@gemba/web_kit/format'
import { productionDay, shiftsOfDay } from '../plant'
import { useParam } from './urlstate'

export interface DayWindow {
  day: Ref<string>
  shift: Ref<string>
  shifts: Ref<ShiftWindow[]>
  /** null until the day's shifts are known. */
  span: ComputedRef<{ from: string; to: string } | null>
  today: ComputedRef<string>
  step: (days: number) => void
}

/** `fallback` is the day shown when the address names none. */
export function useDayWindow(fallback: 'today' | 'yesterday'): DayWindow {
  const today = computed(() => productionDay(plantNow()))
  const first = fallback === 'today' ? today.value : addDays(today.value, -1)
  const day = useParam('day', first, isDay)
  const shift = useParam('shift')
  const from = useParam('from')
  const to = useParam('to')
  const shifts = ref<ShiftWindow[]>([])

  watch(
    day,
    async (wanted) => {
      const found = await shiftsOfDay(wanted).catch(() => [])
      if (day.value === wanted) shifts.value = found
    },
    { immediate: true },
  )

  const span = computed(() => {
    if (from.value && to.value) return { from: from.value, to: to.value }
    const wanted = shift.value ? shifts.value.filter((one) => one.shift === shift.value) : shifts.value
    const first = wanted[0]
    const last = wanted[wanted.length - 1]
    return first && last && first.day === day.value ? { from: first.from, to: last.to } : null
  })
  return { day, shift, shifts, span, today, step: (days) => (day.value = addDays(day.value, days)) }
}
