/** What the server refuses comes back to the person who is still there: in its words, or as the one question it asks. */
import { dismiss, onSettled } from '../outbox/outbox'
import { FRESH_MS, type QueueEntry } from '../outbox/logic'
import { showBand, showProblem } from '../state/band'
import { home } from '../state/home'
import { openSheet } from '../state/ui'
import type { Problem } from '../types'
import type { Count, Origin } from './acts'
import { dropUndoable } from './undo'

export function watchRefusals(): void {
  onSettled(({ outcome, entry, problem }) => {
    if (outcome !== 'refused' || !problem) return
    dropUndoable(entry.act.event_id)
    if (Date.now() - entry.createdAt > FRESH_MS + 10_000) {
      showBand('ask', ['1 条由班组长处理', '1 entry is with your leader'], [`${entry.words.zh}：${problem.title}`, `${entry.words.en}: ${problem.title}`])
    } else if (problem.code === 'needs_confirmation' && ask(entry, problem)) {
      void dismiss(entry.n) // it is asked again with the answer, as a new act
    } else showProblem(problem)
  })
}

function ask(entry: QueueEntry, problem: Problem): boolean {
  if (entry.act.type !== 'production.report') return false
  const job = home.value?.jobs.find((one) => one.operation.id === entry.act['operation'] && one.machine === entry.act['machine'])
  if (!job) return false
  const count: Count = {
    job, good: Number(entry.act['good']), scrap: Number(entry.act['scrap']), origin: entry.act['origin'] as Origin,
    reason: home.value?.scrap_reasons.find((one) => one.code === entry.act['reason']) ?? null,
  }
  openSheet('ask', { count, words: [problem.title, problem.title] })
  return true
}
