/** Own codes against the vectors that the server's `scans/codes.py` is held to as well (`../codes_vectors.json`, checked by test_units.py). */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { checkCharacter, isMisread, ownCode, parseOwn, readCode, type OwnKind } from '@gemba/web_kit/scan/codes'
import { AGAIN_MS, CHATTER_MS, ScanRouter } from '@gemba/web_kit/scan/router'

const vectors = JSON.parse(readFileSync(process.env['GEMBA_VECTORS'] ?? '', 'utf8')) as { kind: OwnKind; text: string; code: string }[]

test('every vector encodes and decodes', () => {
  assert.ok(vectors.length >= 20)
  for (const one of vectors) {
    assert.equal(ownCode(one.kind, one.text), one.code)
    assert.deepEqual(parseOwn(one.code), { kind: one.kind, code: one.text })
  }
})

test('one wrong character, a fragment and a doubled code do not validate', () => {
  for (const { code } of vectors) {
    for (let at = 2; at < code.length; at++) {
      const was = code.charAt(at)
      if (!/[0-9A-Z]/.test(was)) continue
      const other = was === '7' ? '8' : '7'
      assert.equal(parseOwn(code.slice(0, at) + other + code.slice(at + 1)), null, `${code} with ${other} at ${at}`)
    }
    assert.equal(parseOwn(code.slice(1)), null)
    assert.equal(parseOwn(code + code), null)
  }
})

test('the published example of ISO/IEC 7064 MOD 37,36', () => {
  assert.equal(checkCharacter('A12425GABC1234002'), 'M') // GRid, the standard's own use of the scheme
})

test('the scanner\'s symbology prefix is read and removed', () => {
  assert.deepEqual(readCode(']C101069012345678921'), { kind: 'gs1', code: '01069012345678921', raw: '01069012345678921' })
  assert.equal(readCode(']d20106901234567892').kind, 'gs1')
  assert.equal(readCode(']Q1WO-1001/20').kind, 'other')
  assert.equal(readCode('6901234567892').kind, 'ean')
  assert.equal(isMisread('L*LOT-1'), true)
})

test('the same code: chatter, again, meant', () => {
  const router = new ScanRouter()
  assert.equal(router.arrive('LOT-1', 0).kind, 'code')
  assert.equal(router.arrive('LOT-1', CHATTER_MS - 1).kind, 'chatter')
  assert.equal(router.arrive('LOT-1', AGAIN_MS - 100).kind, 'again')
  assert.equal(router.arrive('LOT-1', 3000).kind, 'code')
  assert.equal(router.arrive('LOT-2', 3010).kind, 'code')
})
