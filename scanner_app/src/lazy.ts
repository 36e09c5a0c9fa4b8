/** Parts that are not needed for the first paint: own files, fetched on first use or a moment after the start, whichever comes first. */
import { defineAsyncComponent, type Component } from 'vue'

const loads: (() => Promise<unknown>)[] = []

export function lazy<T extends Component>(load: () => Promise<{ default: T }>): T {
  loads.push(load)
  return defineAsyncComponent(load)
}

/** Fetches all of them, so that no sheet has to be waited for. */
export function warmUp(): void {
  for (const load of loads) void load().catch(() => undefined)
}
