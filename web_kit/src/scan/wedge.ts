/**
 * The keyboard wedge as a pure state machine: keys in, scans or misreads out. Knows neither DOM nor clock: the caller gives each key's
 * own time stamp (event.timeStamp, not "now": a slow first paint otherwise tears a scan apart) and calls `quiet` when a gap has passed.
 *
 * A burst is a scan only if it is fast (mean ≤ meanMsMax a character) AND closed by the terminator. A fast burst that is broken off is a
 * misread, and what still trickles in after it is swallowed: a fragment never becomes a code.
 */

export interface WedgeKey {
  key: string
  code: string
  ctrl: boolean
  meta: boolean
  shift: boolean
  /** event.timeStamp, ms */
  at: number
  /** the key went to a field in which a person may write (free text) */
  editable: boolean
}

export interface WedgeConfig {
  /** longest pause inside a burst, ms */
  gapMs: number
  /** slowest mean that still is a scanner, ms a character */
  meanMsMax: number
  /** shortest text that can be a code */
  lengthMin: number
  /** what closes a scan; "none" = the gap itself (scanner without a suffix) */
  terminator: 'Enter' | 'Tab' | 'any' | 'none'
}

export const WEDGE_DEFAULT: WedgeConfig = { gapMs: 200, meanMsMax: 60, lengthMin: 3, terminator: 'any' }

export type WedgeResult =
  | { kind: 'scan'; text: string }
  | { kind: 'misread'; text: string }
  /** one key alone: it was a person; the caller does what the key would have done */
  | { kind: 'lone'; key: string }

export interface WedgeStep {
  /** suppress what the browser would do with this key */
  suppress: boolean
  results: WedgeResult[]
}

/** ASCII 29, the group separator between variable-length GS1 elements. */
export const GS = '\u001d'

const LENGTH_MAX = 4096
/** A person who types fast into a note is not a broken scanner: inside text fields a misread needs this much evidence. */
const EDITABLE_LENGTH_MIN = 6
const EDITABLE_MEAN_MS_MAX = 35
/** CR LF suffixes and a chattering second terminator. */
const AFTER_SCAN_MS = 150

const SHIFTED: Record<string, string> = {
  Minus: '-_', Equal: '=+', BracketLeft: '[{', BracketRight: ']}', Backslash: '\\|', Semicolon: ';:', Quote: '\'"', Comma: ',<', Period: '.>', Slash: '/?',
  Backquote: '`~', Space: '  ',
}
const DIGIT_SHIFT = ')!@#$%^&*('

/** The character a key types. With a Chinese IME on, `key` is "Process" and only `code` still tells (US layout, as scanners send). Null: no character. */
export function characterOf(key: Pick<WedgeKey, 'key' | 'code' | 'ctrl' | 'meta' | 'shift'>): string | null {
  if (key.key === GS || key.key === 'F8' || (key.ctrl && (key.key === ']' || key.code === 'BracketRight'))) return GS
  if (key.ctrl || key.meta) return null
  if (key.key === 'Process' || key.key === 'Unidentified') return fromCode(key.code, key.shift)
  return [...key.key].length === 1 ? key.key : null
}

function fromCode(code: string, shift: boolean): string | null {
  if (/^Key[A-Z]$/.test(code)) return shift ? code.slice(3) : code.slice(3).toLowerCase()
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1]
  if (digit !== undefined) return shift && code.startsWith('Digit') ? DIGIT_SHIFT.charAt(Number(digit)) : digit
  return SHIFTED[code]?.charAt(shift ? 1 : 0) ?? null
}

function isTerminator(key: WedgeKey, config: WedgeConfig): boolean {
  const name = key.key === 'Process' ? key.code.replace('NumpadEnter', 'Enter') : key.key
  if (config.terminator === 'any') return name === 'Enter' || name === 'Tab'
  return name === config.terminator
}

export class Wedge {
  config: WedgeConfig
  private text = ''
  private first = 0
  private last = 0
  private editable = false
  private swallowUntil = -1
  private broken = false

  constructor(config: WedgeConfig = WEDGE_DEFAULT) {
    this.config = config
  }

  /** True while a burst may be under way (the caller then asks `quiet` after a gap). */
  get open(): boolean {
    return this.text !== '' || this.broken
  }

  press(key: WedgeKey): WedgeStep {
    const results = this.quiet(key.at)
    if (isTerminator(key, this.config)) return this.terminated(key, results)
    if (key.ctrl && key.key.toLowerCase() === 'j' && key.at <= this.swallowUntil) return { suppress: true, results }
    const character = characterOf(key)
    if (character === null) return { suppress: this.text.length > 1 && key.key === 'F8', results }
    if (this.broken) {
      this.last = key.at
      return { suppress: !key.editable, results }
    }
    if (this.text === '') {
      this.first = key.at
      this.editable = key.editable
    }
    if (this.text.length < LENGTH_MAX) this.text += character
    this.last = key.at
    return { suppress: !key.editable || character === GS, results }
  }

  private terminated(key: WedgeKey, results: WedgeResult[]): WedgeStep {
    if (this.broken) {
      this.broken = false
      this.swallowUntil = key.at + AFTER_SCAN_MS
      return { suppress: true, results }
    }
    if (this.text === '') return { suppress: key.at <= this.swallowUntil, results }
    const { text } = this
    const fast = this.mean(key.at) <= this.config.meanMsMax
    this.text = ''
    if (!fast || text.length < this.config.lengthMin) {
      for (const one of this.editable ? [] : text) results.push({ kind: 'lone', key: one })
      return { suppress: !this.editable, results } // the end of a slow or torn code must not press the focused button: nobody types and then presses Enter there
    }
    this.swallowUntil = key.at + AFTER_SCAN_MS
    results.push({ kind: 'scan', text })
    return { suppress: true, results }
  }

  /** Called when nothing has come for a while (`now`: same clock as the keys): ends a burst that has been left open. */
  quiet(now: number): WedgeResult[] {
    if (!this.open || now - this.last <= this.config.gapMs) return []
    if (this.broken) {
      this.broken = now - this.last <= 3 * this.config.gapMs
      return []
    }
    const { text } = this
    this.text = ''
    const mean = text.length > 1 ? (this.last - this.first) / (text.length - 1) : Infinity
    const scanner = this.editable
      ? text.length >= EDITABLE_LENGTH_MIN && mean <= EDITABLE_MEAN_MS_MAX
      : text.length >= this.config.lengthMin && mean <= this.config.meanMsMax
    if (!scanner) return this.editable ? [] : [...text].map((key) => ({ kind: 'lone' as const, key }))
    if (this.config.terminator === 'none') return [{ kind: 'scan', text }]
    this.broken = now - this.last <= 3 * this.config.gapMs
    return [{ kind: 'misread', text }]
  }

  private mean(end: number): number {
    return (end - this.first) / Math.max(1, this.text.length)
  }
}
