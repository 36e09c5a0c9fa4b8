/** Plant time. The browser's own clock is never asked what time it is in the plant: it may be wrong, and a demo plant may run faster than life. */
import { ref } from 'vue'

interface Base {
  plantMs: number
  tickMs: number
  speed: number
}

const base = ref<Base | null>(null)
/** A plant time that ticks each real second, for elapsed times on the screen; null until the server told the time. */
export const nowMs = ref<number | null>(null)

/** Takes the server's time as read; `tickMs` is performance.now() half-way between question and answer. */
export function setPlantTime(iso: string, speed: number, tickMs: number = performance.now()): void {
  base.value = { plantMs: Date.parse(iso), tickMs, speed }
  nowMs.value = plantNow()
}

/** Plant milliseconds since 1970 UTC. Before the server was ever asked, the device's clock stands in (`clockKnown()` says so). */
export function plantNow(): number {
  const from = base.value
  return from ? from.plantMs + (performance.now() - from.tickMs) * from.speed : Date.now()
}

export function clockKnown(): boolean {
  return base.value !== null
}

export function plantSpeed(): number {
  return base.value?.speed ?? 1
}

setInterval(() => {
  if (base.value) nowMs.value = plantNow()
}, 1000)
