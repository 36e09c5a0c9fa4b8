/** The shift that left something for the next one on this tablet. */
import { computed, shallowRef } from 'vue'
import { kept } from './db'
import { person } from './session'
import { station } from './settings'

export interface Handover {
  station: string
  person: string
  name: string
  /** plant ms */
  at: number
  /** keys of the words chosen */
  notes: string[]
  taken: boolean
}
export const handover = shallowRef<Handover | null>(null)

/** It waits for whoever comes: another person, at the same station. */
export const handoverWaits = computed(() => {
  const one = handover.value
  return one !== null && !one.taken && one.station === station.value && person.value !== null && one.person !== person.value.code
})

export async function loadHandover(): Promise<void> {
  handover.value = (await kept<Handover>('handover')) ?? null
}
