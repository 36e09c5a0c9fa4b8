/**
 * What a hand in a glove feels and an ear in a noisy hall hears, within 100 ms of the touch: tones and vibration. The coloured band is the
 * screen's part. "quiet" keeps the band only (it then flashes twice).
 */
export type Feel = 'ok' | 'scrap' | 'ask' | 'error'

interface Tone {
  hz: number
  ms: number
  times: number
  vibrate: number | number[]
}

export const TONES: Record<Feel, Tone> = {
  ok: { hz: 880, ms: 80, times: 1, vibrate: 40 },
  scrap: { hz: 587, ms: 80, times: 1, vibrate: 40 },
  ask: { hz: 660, ms: 90, times: 2, vibrate: [60, 60, 60] },
  error: { hz: 220, ms: 400, times: 1, vibrate: 300 },
}

export interface SoundSettings {
  /** 0…1 */
  volume: number
  quiet: boolean
}

let context: AudioContext | null = null
let settings: SoundSettings = { volume: 0.8, quiet: false }

export function setSound(next: SoundSettings): void {
  settings = next
}

/** Browsers start sound only after a touch: called from the first one. */
export function wakeSound(): void {
  if (typeof AudioContext === 'undefined') return
  context ??= new AudioContext()
  if (context.state === 'suspended') void context.resume()
}

/** Never throws: a tablet without a loudspeaker still works. */
export function feel(kind: Feel): void {
  const tone = TONES[kind]
  if (typeof navigator.vibrate === 'function') navigator.vibrate(tone.vibrate)
  if (settings.quiet || settings.volume <= 0) return
  wakeSound()
  if (!context || context.state !== 'running') return
  for (let i = 0; i < tone.times; i++) beep(context, tone, context.currentTime + (i * (tone.ms + 60)) / 1000)
}

function beep(audio: AudioContext, tone: Tone, from: number): void {
  const oscillator = audio.createOscillator()
  const gain = audio.createGain()
  const until = from + tone.ms / 1000
  oscillator.type = tone.hz < 300 ? 'square' : 'sine'
  oscillator.frequency.value = tone.hz
  gain.gain.setValueAtTime(0.0001, from)
  gain.gain.exponentialRampToValueAtTime(Math.max(0.001, settings.volume * 0.5), from + 0.005)
  gain.gain.setValueAtTime(settings.volume * 0.5, until - 0.01)
  gain.gain.exponentialRampToValueAtTime(0.0001, until)
  oscillator.connect(gain).connect(audio.destination)
  oscillator.start(from)
  oscillator.stop(until + 0.02)
}
