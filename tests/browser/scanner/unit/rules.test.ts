/** Plausibility (same limits and words as the server), the pad, the start check, the small things. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { press, readNumber, valueOf, type PadKey } from '@gemba/web_kit/pad/entry'
import { plausible, tolerance, type Context } from '@scanner/acts/plausible'
import { bestMachine, blocked, checks, type Situation } from '@scanner/acts/startcheck'
import { card128 } from '@scanner/sheets/code128'
import { sha256 } from '@scanner/state/sha256'

const ORDER: Context = { planned: 200, made: 118, orderQuantity: 200, cycleS: 48, sinceS: 3600 }

test('twenty numbers: refuse, ask once, take', () => {
  const table: [number, 'take' | 'ask' | 'refuse'][] = [
    [1, 'take'], [5, 'take'], [10, 'take'], [24, 'take'], [75, 'take'], [82, 'take'], [92, 'take'], [93, 'ask'], [150, 'ask'], [200, 'ask'], [1000, 'ask'], [2000, 'ask'], [2001, 'refuse'],
    [2400, 'refuse'], [0, 'refuse'], [-1, 'refuse'], [3.7, 'refuse'], [1_000_000, 'refuse'], [6_901_234_567_892, 'refuse'], [Number.NaN, 'refuse'],
  ]
  for (const [value, kind] of table) assert.equal(plausible(value, ORDER).kind, kind, String(value))
  assert.equal(tolerance(200), 10)
  assert.equal(tolerance(3), 1)
})

test('asked for its pace: more than one and a half times what the cycle allows, but never five pieces', () => {
  const justNow: Context = { ...ORDER, sinceS: 60 }
  assert.equal(plausible(5, justNow).kind, 'take')
  assert.equal(plausible(6, justNow).kind, 'ask')
  assert.equal(plausible(50, { ...justNow, cycleS: null }).kind, 'take')
})

test('moving pieces to scrap adds nothing: it is not asked for what is left', () => {
  assert.equal(plausible(150, ORDER, false).kind, 'take')
})

test('the words carry the number in both languages', () => {
  const verdict = plausible(150, ORDER)
  assert.ok(verdict.kind === 'ask' && verdict.words[0] === '150 件？还剩 82 件。' && verdict.words[1] === '150 pcs? 82 left.')
})

test('the pad', () => {
  const type = (keys: string, decimals = false): string => [...keys].reduce((text, key) => press(text, key as PadKey, decimals), '')
  assert.equal(type('0123'), '123')
  assert.equal(type('1234567'), '123456', 'six digits, no more')
  assert.equal(type('1.5'), '15', 'pieces have no point')
  assert.equal(type('1.5', true), '1.5')
  assert.equal(type('.5', true), '0.5')
  assert.equal(press('12', 'back'), '1')
  assert.equal(valueOf(''), 0)
})

test('a decimal comma is a decimal sign, a thousand is asked', () => {
  assert.deepEqual(readNumber('142,5'), { kind: 'value', value: 142.5 })
  assert.deepEqual(readNumber('142.5mm'), { kind: 'value', value: 142.5 })
  assert.deepEqual(readNumber('1,425'), { kind: 'ask', values: [1.425, 1425] })
  assert.deepEqual(readNumber('LOT-1'), { kind: 'not_a_number' })
})

const READY: Situation = {
  operation: {
    id: 'WO-1/20', order: 'WO-1', number: 20, name_zh: '', name_en: '', status: 'ready', machine_class: 'lathe', machines: ['LAT-01', 'LAT-02'], counting: 'machine', cycle_s: 48, setup_s: null,
    planned: 200, good: 0, scrap: 0, rework: 0, available: 40, over: false, started_at: null, ended_at: null, runs: [],
  },
  orderStatus: 'released', here: ['LAT-01', 'LAT-02'], machine: 'LAT-01', person: 'Wang', mayStart: true, loaded: [], statusWord: (status) => status,
}

test('each blocker blocks with its own sentence', () => {
  assert.equal(blocked(checks(READY)), false)
  const cases: [Partial<Situation>, string][] = [
    [{ mayStart: false }, 'chk_right'],
    [{ orderStatus: 'on_hold' }, 'chk_order_bad'],
    [{ operation: { ...READY.operation!, status: 'completed' } }, 'chk_ended'],
    [{ operation: { ...READY.operation!, held: true } }, 'chk_held'],
    [{ here: ['SAW-01'] }, 'chk_machine_bad'],
  ]
  for (const [change, word] of cases) {
    const all = checks({ ...READY, ...change })
    assert.equal(blocked(all), true, word)
    assert.ok(all.some((one) => one.word === word && !one.ok && one.blocks), word)
  }
  assert.equal(blocked(checks({ ...READY, operation: null })), false, 'an order this tablet does not know may be started unverified')
})

test('the machine: the one on screen, else a free one', () => {
  assert.equal(bestMachine(['LAT-01', 'LAT-02'], READY.here, 'LAT-02', new Set()), 'LAT-02')
  assert.equal(bestMachine(['LAT-01', 'LAT-02'], READY.here, 'LAT-02', new Set(['LAT-02'])), 'LAT-01')
  assert.equal(bestMachine(['LAT-01'], READY.here, 'LAT-02', new Set(['LAT-01'])), 'LAT-01')
  assert.equal(bestMachine(['SAW-01'], READY.here, 'LAT-01', new Set()), null)
})

test('SHA-256 equals the platform\'s, for texts around the block size and for bytes', () => {
  for (const length of [0, 1, 3, 55, 56, 63, 64, 65, 119, 1000]) {
    const text = '工'.repeat(length % 7) + 'x'.repeat(length)
    assert.equal(sha256(text), createHash('sha256').update(text).digest('hex'), String(length))
  }
  const bytes = new Uint8Array(5000).map((_, at) => at & 0xff)
  assert.equal(sha256(bytes), createHash('sha256').update(bytes).digest('hex'))
})

test('the calibration card is as wide as Code 128 must be', () => {
  assert.equal(card128('R*CARD').width, 11 * (1 + 6 + 1) + 13)
})
