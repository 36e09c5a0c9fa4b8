/** The outbox's rules: what joins, what goes next, what an answer means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BATCH_MAX, FRESH_MS, MERGE_MS, MERGE_TOTAL_MS, backoffMs, batchOutcomes, canMerge, classify, merged, nextRun, type QueueEntry } from '@scanner/outbox/logic'
import { overlaid } from '@scanner/acts/overlay'

let count = 0
function entry(more: Partial<QueueEntry> = {}): QueueEntry {
  count++
  return {
    n: count, act: { type: 'production.report', event_id: `e${count}`, occurred_at: '2026-03-18T00:00:00.000Z', operation: 'WO-1/10', good: 10, scrap: 0 }, person: 'OP1', badge: null,
    mergeKey: 'k', holdUntil: 0, createdAt: 0, tries: 0, state: 'queued', problem: null, effect: { operation: 'WO-1/10', good: 10, scrap: 0 }, words: { zh: '', en: '' }, photos: [], ...more,
  }
}

test('taps on the same tile within three seconds join, a third person or a sent act does not', () => {
  const open = entry({ holdUntil: MERGE_MS })
  assert.equal(canMerge(open, 'k', 'OP1', MERGE_MS - 1), true)
  assert.equal(canMerge(open, 'k', 'OP1', MERGE_MS), false)
  assert.equal(canMerge(open, 'other', 'OP1', 1), false)
  assert.equal(canMerge(open, null, 'OP1', 1), false)
  assert.equal(canMerge(open, 'k', 'OP2', 1), false)
  assert.equal(canMerge({ ...open, tries: 1 }, 'k', 'OP1', 1), false)
  assert.equal(canMerge({ ...open, holdUntil: 1e9 }, 'k', 'OP1', MERGE_TOTAL_MS), false, 'sixty taps a minute are not one endless act')
})

test('a joined tap keeps the id, adds the numbers, moves the time', () => {
  const first = entry({ holdUntil: MERGE_MS })
  const joined = merged(first, { ...first.act, event_id: 'second', occurred_at: '2026-03-18T00:00:02.000Z' }, first.effect, { zh: '二', en: 'two' }, 2000)
  assert.equal(joined.act.event_id, first.act.event_id)
  assert.equal(joined.act['good'], 20)
  assert.equal(joined.act.occurred_at, '2026-03-18T00:00:02.000Z')
  assert.deepEqual(joined.effect, { operation: 'WO-1/10', good: 20, scrap: 0 })
  assert.equal(joined.holdUntil, 2000 + MERGE_MS)
})

test('order is kept: nothing overtakes an act that may still grow', () => {
  const queue = [entry({ holdUntil: 500 }), entry()]
  assert.deepEqual(nextRun(queue, new Set(), 100), { entries: [], wakeAt: 500, batch: false })
  assert.equal(nextRun(queue, new Set(), 600).entries.length, 2)
})

test('a run is one person\'s; refused ones and those who must sign in again do not stop the others', () => {
  const queue = [entry({ state: 'refused' }), entry({ person: 'OP2' }), entry(), entry(), entry({ person: 'OP3' })]
  const run = nextRun(queue, new Set(['OP2']), 1)
  assert.deepEqual(run.entries.map((one) => one.person), ['OP1', 'OP1'])
  assert.equal(run.batch, true)
})

test('a batch is bounded; an old single act goes by batch so that a refusal lands on the list', () => {
  assert.equal(nextRun(Array.from({ length: 300 }, () => entry()), new Set(), 1).entries.length, BATCH_MAX)
  assert.equal(nextRun([entry()], new Set(), FRESH_MS).batch, false)
  assert.equal(nextRun([entry()], new Set(), FRESH_MS + 1).batch, true)
})

test('answers: done, replay, refused, retry, sign in, split', () => {
  assert.deepEqual(classify(200, { replay: false }, false), { kind: 'done' })
  assert.deepEqual(classify(200, { replay: true }, false), { kind: 'replay' })
  for (const status of [0, 408, 429, 500, 502, 503]) assert.equal(classify(status, null, false).kind, 'retry', String(status))
  assert.equal(classify(401, null, false).kind, 'signed_out')
  assert.equal(classify(422, null, true).kind, 'split')
  assert.deepEqual(classify(409, { title: 'was first', code: 'conflict', next_step: 'look' }, false), { kind: 'refused', problem: { title: 'was first', status: 409, code: 'conflict', next_step: 'look', params: {} } })
})

test('a batch answer that forgets an act does not lose it', () => {
  const [a, b, c] = [entry(), entry(), entry()]
  const out = batchOutcomes([a!, b!, c!], [{ event_id: a!.act.event_id, status: 'done' }, { event_id: b!.act.event_id, status: 'refused', problem: { title: 'no', status: 409, code: 'x', next_step: '' } }])
  assert.deepEqual([...out.values()].map((one) => one.kind), ['done', 'refused', 'retry'])
})

test('the wait grows to 15 s and is spread', () => {
  assert.ok(backoffMs(0, 0.5) === 500 && backoffMs(20, 1) <= 18_750 && backoffMs(3, 0) < backoffMs(3, 1))
})

test('what a person sees: the server\'s number and what it does not hold yet, each once', () => {
  const waiting = [entry(), entry({ state: 'refused' })]
  const undone = entry({ effect: { operation: 'WO-1/10', good: -10, scrap: 0 } })
  const mirrored = entry()
  assert.deepEqual(overlaid({ good: 100, scrap: 1 }, 'WO-1/10', waiting, [], new Set()), { good: 110, scrap: 1 })
  assert.deepEqual(overlaid({ good: 100, scrap: 1 }, 'WO-1/10', [...waiting, undone], [], new Set()), { good: 100, scrap: 1 })
  assert.deepEqual(overlaid({ good: 100, scrap: 1 }, 'WO-1/10', [mirrored], [mirrored], new Set([mirrored.act.event_id])), { good: 100, scrap: 1 })
  assert.deepEqual(overlaid({ good: 100, scrap: 1 }, 'WO-1/10', [mirrored], [mirrored], new Set()), { good: 110, scrap: 1 })
})
