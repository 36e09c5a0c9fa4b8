/** Who is signed in on this device, and what they may do. */
import { computed, ref } from 'vue'
import { get, post, request, setCredentials } from './api/client'
import type { Person, SessionAnswer } from './api/types'
import { setLang } from './i18n'

export const me = ref<Person | null>(null)
export const station = ref<string | null>(null)
export const signedIn = computed(() => me.value !== null)

export type SignIn = { badge: string } | { person: string; pin: string } | { user: string; password: string }

/** Whether the signed-in person has the right somewhere; the server decides again on every act. */
export function may(right: string): boolean {
  return me.value?.rights.includes(right) ?? false
}

function take(answer: SessionAnswer): Person {
  me.value = answer.person
  station.value = answer.station
  return answer.person
}

/** Signs in. `keepToken`: the app keeps the bearer token (tablets); else the HttpOnly cookie carries the session (desks). Throws ApiError. */
export async function signIn(how: SignIn, keepToken = false): Promise<Person> {
  const answer = await post<SessionAnswer>('/session', how)
  if (keepToken && answer.token) setCredentials({ token: answer.token })
  setLang(answer.person.lang) // the person's language; what is chosen afterwards on this device stays
  return take(answer)
}

/** The session this browser already has, or null. */
export async function resume(): Promise<Person | null> {
  try {
    return take(await get<SessionAnswer>('/me'))
  } catch {
    me.value = null
    return null
  }
}

export async function signOut(): Promise<void> {
  try {
    await request('DELETE', '/session')
  } finally {
    setCredentials({ token: null })
    me.value = null
  }
}
