/** What our own number pad holds: text a person tapped, its value, and what a comma may mean. Pure. */

/** Longest number a person may tap on a piece count (plausibility refuses more anyway). */
export const DIGITS_MAX = 6
const DECIMALS_MAX = 4

export type PadKey = '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9' | '.' | 'back' | 'clear'

/** The text after a key. `decimals`: the unit may have them (kg, m); pieces may not. */
export function press(text: string, key: PadKey, decimals = false): string {
  if (key === 'clear') return ''
  if (key === 'back') return text.slice(0, -1)
  if (key === '.') return !decimals || text.includes('.') ? text : `${text === '' ? '0' : text}.`
  const [whole = '', part] = text.split('.')
  if (part !== undefined) return part.length >= DECIMALS_MAX ? text : text + key
  if (whole.length >= DIGITS_MAX) return text
  return whole === '0' ? key : text + key
}

export function valueOf(text: string): number {
  const value = Number(text === '' ? 0 : text)
  return Number.isFinite(value) ? value : 0
}

export type Gauge = { kind: 'value'; value: number } | { kind: 'ask'; values: [number, number] } | { kind: 'not_a_number' }

/** A reading as a gauge sends or a person writes it: comma and point both are decimal signs; "1,425" is asked, not guessed. */
export function readNumber(text: string): Gauge {
  const clean = text.trim().replace(/\s*[a-zA-Zµ°%]+$/, '')
  if (!/^[+-]?\d+([.,]\d+)?$/.test(clean)) return { kind: 'not_a_number' }
  const value = Number(clean.replace(',', '.'))
  const thousand = /^[+-]?\d{1,3},\d{3}$/.test(clean)
  return thousand ? { kind: 'ask', values: [value, Number(clean.replace(',', ''))] } : { kind: 'value', value }
}
