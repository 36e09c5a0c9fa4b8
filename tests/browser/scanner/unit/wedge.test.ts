/** The wedge: what is a scan, what is a person, what is a torn scan. Each case met on a real floor or in a peer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GS, Wedge, WEDGE_DEFAULT, characterOf, type WedgeConfig, type WedgeKey, type WedgeResult } from '@gemba/web_kit/scan/wedge'

interface Typed {
  results: WedgeResult[]
  suppressed: boolean[]
}

function keyOf(key: string, at: number, more: Partial<WedgeKey> = {}): WedgeKey {
  return { key, code: '', ctrl: false, meta: false, shift: false, at, editable: false, ...more }
}

/** Types `text` with `ms` between the keys, then the terminator; afterwards a long silence. */
function type(text: string, ms: number, end: string | null = 'Enter', config: WedgeConfig = WEDGE_DEFAULT, more: Partial<WedgeKey> = {}, wedge = new Wedge(config)): Typed {
  const out: Typed = { results: [], suppressed: [] }
  let at = 1000
  for (const one of [...text, ...(end ? [end] : [])]) {
    const step = wedge.press(keyOf(one, at, more))
    out.results.push(...step.results)
    out.suppressed.push(step.suppress)
    at += ms
  }
  out.results.push(...wedge.quiet(at + 1000))
  return out
}

test('a fast burst with Enter is one scan and presses nothing', () => {
  const { results, suppressed } = type('WO 24117 A', 8)
  assert.deepEqual(results, [{ kind: 'scan', text: 'WO 24117 A' }])
  assert.ok(suppressed.every(Boolean), 'the spaces and the Enter would press the focused button')
})

test('digits only are a code, never a number', () => {
  assert.deepEqual(type('6901234567892', 4).results, [{ kind: 'scan', text: '6901234567892' }])
})

test('a lone Space or letter is a person', () => {
  const wedge = new Wedge()
  assert.deepEqual(wedge.press(keyOf(' ', 1000)), { suppress: true, results: [] })
  assert.deepEqual(wedge.quiet(1100), [], 'too early to tell')
  assert.deepEqual(wedge.quiet(1300), [{ kind: 'lone', key: ' ' }])
})

test('an Enter alone is left to the browser', () => {
  assert.deepEqual(new Wedge().press(keyOf('Enter', 1000)), { suppress: false, results: [] })
  const slow = type('L1*AB7', 150) // slower than a scanner may be: no code, and its Enter presses nothing
  assert.deepEqual([slow.results.filter((one) => one.kind !== 'lone'), slow.suppressed.every(Boolean)], [[], true])
})

test('a person typing slowly is never a scan', () => {
  assert.equal(type('HELLO', 150).results.some((one) => one.kind !== 'lone'), false)
})

test('a burst that is broken off is a misread and its tail is swallowed', () => {
  const wedge = new Wedge()
  const results: WedgeResult[] = []
  let at = 1000
  for (const one of 'WO-24') { results.push(...wedge.press(keyOf(one, at)).results); at += 8 }
  at += 260 // the radio stuttered
  for (const one of [...'117A', 'Enter']) { results.push(...wedge.press(keyOf(one, at)).results); at += 8 }
  results.push(...wedge.quiet(at + 2000))
  assert.deepEqual(results, [{ kind: 'misread', text: 'WO-24' }])
})

test('after a misread the next scan is read again', () => {
  const wedge = new Wedge()
  const results: WedgeResult[] = []
  let at = 1000
  for (const one of 'WO-24') { wedge.press(keyOf(one, at)); at += 8 }
  wedge.quiet(at + 250)
  at += 2000
  for (const one of [...'L*LOT-1X', 'Enter']) { results.push(...wedge.press(keyOf(one, at)).results); at += 8 }
  assert.deepEqual(results, [{ kind: 'scan', text: 'L*LOT-1X' }])
})

test('event time counts, not the time of handling: a gap of 199 ms holds, 201 ms breaks', () => {
  const twoHalves = (gap: number): WedgeResult[] => {
    const wedge = new Wedge()
    const results: WedgeResult[] = []
    let at = 0
    for (const one of 'ABCDEFGH') { results.push(...wedge.press(keyOf(one, at)).results); at += 5 }
    at += gap - 5
    for (const one of [...'IJKLMNOP', 'Enter']) { results.push(...wedge.press(keyOf(one, at)).results); at += 5 }
    return results
  }
  assert.deepEqual(twoHalves(199), [{ kind: 'scan', text: 'ABCDEFGHIJKLMNOP' }])
  assert.deepEqual(twoHalves(201)[0], { kind: 'misread', text: 'ABCDEFGH' })
})

test('a Chinese input method hides the key: the code tells', () => {
  assert.equal(characterOf({ key: 'Process', code: 'KeyW', ctrl: false, meta: false, shift: true }), 'W')
  assert.equal(characterOf({ key: 'Process', code: 'Digit7', ctrl: false, meta: false, shift: false }), '7')
  assert.equal(characterOf({ key: 'Process', code: 'Minus', ctrl: false, meta: false, shift: false }), '-')
  assert.equal(characterOf({ key: 'Process', code: 'Digit8', ctrl: false, meta: false, shift: true }), '*')
})

test('the group separator comes in three disguises', () => {
  for (const [key, more] of [[']', { ctrl: true, code: 'BracketRight' }], ['F8', { code: 'F8' }], ['\u001d', {}]] as const) {
    const wedge = new Wedge()
    let at = 0
    for (const one of '10LOT') { wedge.press(keyOf(one, at)); at += 5 }
    wedge.press(keyOf(key, at, more))
    at += 5
    for (const one of '21SN') { wedge.press(keyOf(one, at)); at += 5 }
    assert.deepEqual(wedge.press(keyOf('Enter', at)).results, [{ kind: 'scan', text: `10LOT${GS}21SN` }])
  }
})

test('a second terminator (CR LF) right after a scan presses nothing', () => {
  const wedge = new Wedge()
  let at = 0
  for (const one of 'ABCD') { wedge.press(keyOf(one, at)); at += 5 }
  assert.equal(wedge.press(keyOf('Enter', at)).results.length, 1)
  assert.equal(wedge.press(keyOf('Enter', at + 5)).suppress, true)
  assert.equal(wedge.press(keyOf('j', at + 8, { ctrl: true })).suppress, true)
})

test('Tab closes a scan too, and a scanner without an ending is read by the gap once the card was learned', () => {
  assert.deepEqual(type('ABCD', 5, 'Tab').results, [{ kind: 'scan', text: 'ABCD' }])
  assert.deepEqual(type('ABCD', 5, null).results, [{ kind: 'misread', text: 'ABCD' }])
  assert.deepEqual(type('ABCD', 5, null, { ...WEDGE_DEFAULT, terminator: 'none' }).results, [{ kind: 'scan', text: 'ABCD' }])
})

test('in a text field a fast scan is taken, a fast typist is not', () => {
  assert.deepEqual(type('LOT-1', 6, 'Enter', WEDGE_DEFAULT, { editable: true }).results, [{ kind: 'scan', text: 'LOT-1' }])
  assert.deepEqual(type('the', 55, null, WEDGE_DEFAULT, { editable: true }).results, [])
})
