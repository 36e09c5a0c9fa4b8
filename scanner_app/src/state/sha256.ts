/** SHA-256 (FIPS 180-4) in plain script: crypto.subtle is missing on http:// addresses in a plant, and known badges must work there too. */
const K = new Uint32Array(64)
const H0 = new Uint32Array(8)

function fractionBits(value: number): number {
  return ((value - Math.floor(value)) * 0x100000000) | 0
}

let found = 0
for (let candidate = 2; found < 64; candidate++) {
  let prime = true
  for (let i = 2; i * i <= candidate; i++) if (candidate % i === 0) prime = false
  if (!prime) continue
  if (found < 8) H0[found] = fractionBits(Math.sqrt(candidate))
  K[found++] = fractionBits(Math.cbrt(candidate))
}

const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by))

/** Hex digest of the bytes, or of a text's UTF-8 bytes. */
export function sha256(content: string | Uint8Array): string {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  const padded = new Uint8Array(((bytes.length + 9 + 63) >> 6) << 6)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setUint32(padded.length - 8, Math.floor((bytes.length * 8) / 0x100000000))
  view.setUint32(padded.length - 4, (bytes.length * 8) >>> 0)
  const hash = H0.slice()
  const w = new Uint32Array(64)
  for (let at = 0; at < padded.length; at += 64) round(hash, w, view, at)
  return Array.from(hash, (one) => one.toString(16).padStart(8, '0')).join('')
}

function round(hash: Uint32Array, w: Uint32Array, view: DataView, at: number): void {
  for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + i * 4)
  for (let i = 16; i < 64; i++) {
    const a = w[i - 15]!
    const b = w[i - 2]!
    w[i] = w[i - 16]! + (rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3)) + w[i - 7]! + (rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10))
  }
  let [a, b, c, d, e, f, g, h] = hash as unknown as [number, number, number, number, number, number, number, number]
  for (let i = 0; i < 64; i++) {
    const t1 = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + K[i]! + w[i]!) | 0
    const t2 = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  const next = [a, b, c, d, e, f, g, h]
  for (let i = 0; i < 8; i++) hash[i] = hash[i]! + next[i]!
}
