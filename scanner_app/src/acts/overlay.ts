/** The numbers a person sees: the server's, plus what this tablet has done and the server's numbers do not hold yet. Pure. */
import type { QueueEntry } from '../outbox/logic'

export interface Numbers {
  good: number
  scrap: number
}

/** `mirrored`: event ids the server's answer already contains (its last acts). */
export function overlaid(base: Numbers, operation: string, waiting: readonly QueueEntry[], settled: readonly QueueEntry[], mirrored: ReadonlySet<string>): Numbers {
  let { good, scrap } = base
  const seen = new Set<string>()
  for (const entry of [...settled, ...waiting]) {
    if (entry.state === 'refused' || entry.effect?.operation !== operation || mirrored.has(entry.act.event_id) || seen.has(entry.act.event_id)) continue
    seen.add(entry.act.event_id)
    good += entry.effect.good
    scrap += entry.effect.scrap
  }
  return { good, scrap }
}
