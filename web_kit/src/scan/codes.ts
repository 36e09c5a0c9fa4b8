/**
 * Gemba's own codes and what a tablet can tell about a code without the server. The same rules as the server's `scans/codes.py` (shared
 * vectors hold the two together). Own code = type letter + `*` + text + check character (ISO/IEC 7064 MOD 37,36 over the letters and digits of
 * letter and text): a fragment or a mistyped code is not valid.
 */

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'

export type OwnKind = 'order' | 'operation' | 'lot' | 'serial' | 'machine' | 'reason' | 'badge'

const KIND_OF: Record<string, OwnKind> = { W: 'order', O: 'operation', L: 'lot', S: 'serial', M: 'machine', R: 'reason', B: 'badge' }

/** ISO/IEC 7064 MOD 37,36 (hybrid system): the check character of `text`. Characters outside 0–9 A–Z do not count. */
export function checkCharacter(text: string): string {
  let p = 36
  for (const one of text.toUpperCase()) {
    const value = ALPHABET.indexOf(one)
    if (value < 0) continue
    let s = (p + value) % 36
    if (s === 0) s = 36
    p = (s * 2) % 37
  }
  return ALPHABET.charAt((37 - p) % 36)
}

export interface Read {
  kind: OwnKind | 'gs1' | 'ean' | 'other'
  /** without prefix and check character; GS1: the element string with GS kept */
  code: string
  /** as the scanner gave it, symbology prefix removed */
  raw: string
}

/** What the scanner says about the symbology comes first, then the code. ]C1, ]d2, ]Q3, ]e0 announce GS1. */
const SYMBOLOGY = /^\]([A-Za-z])([0-9A-Za-z])/
const GS1_SYMBOLOGY = new Set(['C1', 'd2', 'Q3', 'e0', 'J1'])

/** An own code looks like: letter, `*`, text, check character. Anything else is for the server (or the cache) to say. */
export function readCode(scanned: string): Read {
  const found = SYMBOLOGY.exec(scanned)
  const raw = found ? scanned.slice(3) : scanned
  if (found && GS1_SYMBOLOGY.has(`${found[1]}${found[2]}`)) return { kind: 'gs1', code: raw, raw }
  const own = parseOwn(raw)
  if (own) return { kind: own.kind, code: own.code, raw }
  if (/^\d{8}$|^\d{12,14}$/.test(raw)) return { kind: 'ean', code: raw, raw }
  return { kind: 'other', code: raw, raw }
}

export function parseOwn(raw: string): { kind: OwnKind; code: string } | null {
  const kind = KIND_OF[raw.charAt(0)]
  if (!kind || raw.charAt(1) !== '*' || raw.length < 4) return null
  const body = raw.slice(0, -1)
  const code = body.slice(2)
  return !code.includes('*') && checkCharacter(body) === raw.slice(-1) ? { kind, code } : null // a doubled code has a second `*`
}

export function ownCode(kind: OwnKind, code: string): string {
  const letter = Object.keys(KIND_OF).find((one) => KIND_OF[one] === kind) ?? ''
  const body = `${letter}*${code}`
  return body + checkCharacter(body)
}

/** Looks like one of ours but the check character does not fit: torn or mistyped. */
export function isMisread(raw: string): boolean {
  return /^[WOLSMRB]\*/.test(raw) && parseOwn(raw) === null
}
