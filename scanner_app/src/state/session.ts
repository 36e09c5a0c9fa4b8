/**
 * Who stands here. A badge is one scan; a second badge is a switch; with a sheet open it counts for that act only; without the network a
 * known badge works and an unknown one is taken unchecked (its acts are marked for the supervisor). The person locks after idle time, the
 * station stays readable.
 */
import { get, post, setCredentials, whenSignedOut } from '@gemba/web_kit/api/client'
import { ApiError } from '@gemba/web_kit/api/problem'
import { lang, setLang } from '@gemba/web_kit/i18n'
import { computed, ref } from 'vue'
import { signedInAgain } from '../outbox/outbox'
import { clearBand, showBand, showProblem } from './band'
import { keep, kept } from './db'
import { netDown, netUp } from './net'
import { actorKey, knownBadge, knownPerson, openSession, remember, renew, setCurrent, type Known, type SignIn } from './people'
import { setStation, settings, station } from './settings'

export interface Present {
  code: string
  name: string
  rights: string[]
  /** the raw badge, while its owner is signed in here; null: signed in by PIN */
  badge: string | null
  /** false: no server has checked this badge yet */
  checked: boolean
}

export const person = ref<Present | null>(null)
export const busy = ref(false)
export const actor = computed(() => (person.value ? actorKey(person.value.code ? person.value : null, person.value.badge) : ''))
export const badgeHere = (): string | null => person.value?.badge ?? null
let lastTouch = performance.now()

export function may(right: string): boolean {
  const rights = person.value?.rights ?? []
  return person.value !== null && (!person.value.checked || rights.some((one) => one === right || one.startsWith(`${right}@`) || one === '*'))
}

/** The person of the last page view, if the tablet was reloaded in the middle of a shift. */
export async function loadSession(): Promise<void> {
  const last = await kept<{ code: string; at: number; badge: string | null }>('present')
  const known = last && Date.now() - last.at < settings.idleMin * 60_000 ? knownPerson(last.code) : null
  if (known) take(known, last?.badge ?? null)
  else readAs(await kept<string>('reader'))
}

function readAs(code: string | undefined): void {
  const known = code ? knownPerson(code) : null
  if (!known?.token) return
  setCurrent(known.code)
  setCredentials({ token: known.token })
}

function take(known: Known, badge: string | null): void {
  person.value = { code: known.code, name: known.name, rights: known.rights, badge, checked: true }
  if (known.token) {
    setCurrent(known.code)
    setCredentials({ token: known.token })
    void keep('reader', known.code)
  }
  setLang(known.lang)
  signedInAt = performance.now()
  touch()
}

/** Signs in by badge. True: somebody is signed in now. */
export async function signInByBadge(badge: string): Promise<boolean> {
  return signIn({ badge }, badge)
}

export async function signInByPin(code: string, pin: string): Promise<boolean> {
  return signIn({ person: code, pin }, null)
}

async function signIn(how: SignIn, badge: string | null): Promise<boolean> {
  busy.value = true
  try {
    const { known, station: at } = await openSession(how)
    netUp()
    if (!station.value && at) await setStation(at)
    take(known, badge)
    signedInAgain(known.code)
    return true
  } catch (error) {
    return signInOffline(error, badge)
  } finally {
    busy.value = false
  }
}

function signInOffline(error: unknown, badge: string | null): boolean {
  if (!(error instanceof ApiError)) throw error
  if (!error.again) {
    showProblem(error)
    return false
  }
  netDown()
  if (!badge) {
    showBand('error', ['离线时不能用密码登录。', 'No PIN sign-in while offline.'], ['请刷工牌。', 'Scan your badge.'])
    return false
  }
  const known = knownBadge(badge)
  if (known) take(known, badge)
  else {
    person.value = { code: '', name: '', rights: [], badge, checked: false }
    touch()
    showBand('ask', ['离线，工牌未核对', 'Offline, badge not checked'], ['可以继续操作，班组长稍后会看到。', 'You can go on; your supervisor will see it.'])
  }
  return true
}

/** Whether a code is a badge the tablet has met: for "this act only" and for codes without our prefix. */
export { knownBadge }

export function lock(): void {
  clearBand()
  person.value = null
  void keep('present', null)
}

/** A person's language is theirs: it goes to the server with the person, and stays on this tablet at once. */
export function switchLang(): void {
  setLang(lang.value === 'zh' ? 'en' : 'zh')
  const known = person.value ? knownPerson(person.value.code) : null
  if (known) void remember({ ...known, lang: lang.value, chosen: lang.value }, null)
}

/** Every touch and scan: the person is still here. */
export function touch(): void {
  lastTouch = performance.now()
  if (person.value?.code) void keep('present', { code: person.value.code, at: Date.now(), badge: person.value.badge })
}

let renewing = false
let signedInAt = -Infinity
/** A 401 this soon after a sign-in answers a question that was asked before it. */
const SETTLING_MS = 5_000

/** The session ran out under somebody who still stands here: a new one by the same badge, else back to the sign-in. */
async function signedOutByServer(): Promise<void> {
  const present = person.value
  if (!present?.code || renewing || performance.now() - signedInAt < SETTLING_MS) return
  renewing = true
  if (await renew(present.code, present.badge)) {
    const known = knownPerson(present.code)
    if (known) take(known, present.badge)
  } else if (person.value?.code === present.code) lock()
  renewing = false
}

export function watchIdle(): void {
  whenSignedOut(() => void signedOutByServer())
  window.addEventListener('pointerdown', touch, { capture: true, passive: true })
  window.setInterval(() => {
    if (person.value && performance.now() - lastTouch > settings.idleMin * 60_000) lock()
  }, 5_000)
}

export interface OnShift {
  code: string
  name: string
  initials: string
}

export const onShift = (): Promise<OnShift[] | { items: OnShift[] }> => get('/people/on-shift', { station: station.value })

/** The device's own token and station, by the one-time code of the enrolment. Throws ApiError. */
export const enrol = (code: string): Promise<{ device: string; device_token: string; station: string | null }> => post('/devices/enrol', { code })
