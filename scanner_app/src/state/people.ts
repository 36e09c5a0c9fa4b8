/**
 * The people this tablet has met: their sign-ins (to send each act as the person who did it) and the hashes of their badges (so that a known
 * badge works without the network). A badge itself is kept only while its person is signed in here or an act of theirs waits: the sign-in may run
 * out during a long cut, and the act is then sent with a new one.
 */
import { headersFor, urlOf } from '@gemba/web_kit/api/client'
import { ApiError, offlineError, problemOf } from '@gemba/web_kit/api/problem'
import type { SessionAnswer } from '@gemba/web_kit/api/types'
import { keep, kept } from './db'
import { sha256 } from './sha256'

export interface Known {
  code: string
  name: string
  lang: 'zh' | 'en'
  rights: string[]
  token: string | null
  /** the language chosen on this tablet, if it is not the one the server has */
  chosen?: 'zh' | 'en'
}
interface Book {
  salt: string
  people: Record<string, Known>
  badges: Record<string, string>
}

/** Tablets are shared by a shift or three; more than this is a tablet that should be enrolled anew. */
const PEOPLE_MAX = 200
const BADGE = 'badge:'

let book: Book = { salt: '', people: {}, badges: {} }
let current: string | null = null

export async function loadPeople(): Promise<void> {
  const found = await kept<Book>('people')
  if (found) book = found
  else book.salt = Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, '0')).join('')
}

const hashOf = (badge: string): string => sha256(`${book.salt}:${badge}`)

/** Remembers who signed in and, where it was by badge, which badge it was. */
export async function remember(person: Known, badge: string | null): Promise<void> {
  const others = Object.entries(book.people).filter(([code]) => code !== person.code)
  book.people = Object.fromEntries([...others.slice(-PEOPLE_MAX + 1), [person.code, person]])
  if (badge) book.badges[hashOf(badge)] = person.code
  await keep('people', book)
}

export function knownBadge(badge: string): Known | null {
  const code = book.badges[hashOf(badge)]
  return (code && book.people[code]) || null
}

export function knownPerson(code: string): Known | null {
  return book.people[code] ?? null
}

/** Who an act belongs to, as the outbox keeps it: the person's code, or the raw badge where no sign-in stands for it. */
export function actorKey(person: { code: string } | null, badge: string | null): string {
  if (person && book.people[person.code]?.token) return person.code
  return badge ? BADGE + badge : (person?.code ?? '')
}

export function nameOfActor(key: string): string {
  if (!key.startsWith(BADGE)) return book.people[key]?.name ?? key
  return knownBadge(key.slice(BADGE.length))?.name ?? ''
}

/** The person whose sign-in stands for acts that name another badge, and for photos. */
export function setCurrent(code: string | null): void {
  current = code
}

/** Whether some sign-in of this tablet can be used to look. */
export const canRead = (): boolean => tokenOf('') !== null

export function tokenOf(actor: string): string | null {
  const own = book.people[actor]?.token
  if (own || (actor !== '' && !actor.startsWith(BADGE))) return own ?? null
  return (current ? book.people[current]?.token : null) ?? Object.values(book.people).find((one) => one.token)?.token ?? null
}

export function asBadgeOf(actor: string, act: object): { as_badge?: string } {
  return actor.startsWith(BADGE) && !('as_badge' in act) ? { as_badge: actor.slice(BADGE.length) } : {}
}

export type SignIn = { badge: string } | { person: string; pin: string }
const SIGN_IN_MS = 4_000

/**
 * Opens a session of its own: without the cookie and the token of whoever stands here, for the server ends the session a sign-in comes with, and
 * that person's acts may still wait. Throws ApiError.
 */
export async function openSession(how: SignIn): Promise<{ known: Known; station: string | null }> {
  const headers: Record<string, string> = { ...headersFor('POST'), 'Content-Type': 'application/json' }
  delete headers['Authorization']
  let response: Response
  try {
    response = await fetch(urlOf('/session'), { method: 'POST', headers, body: JSON.stringify(how), credentials: 'omit', signal: AbortSignal.timeout(SIGN_IN_MS) })
  } catch {
    throw offlineError()
  }
  const body: unknown = await response.json().catch(() => null)
  if (!response.ok) throw new ApiError(problemOf(response.status, body))
  const { person, token, station } = body as SessionAnswer
  const chosen = book.people[person.code]?.chosen
  const known: Known = { code: person.code, name: person.name, lang: chosen ?? person.lang, rights: person.rights, token: token ?? null, ...(chosen ? { chosen } : {}) }
  await remember(known, 'badge' in how ? how.badge : null)
  return { known, station }
}

/** The server no longer takes the sign-in an act was sent with. True when there is a new one, or another that can stand in: send again. */
export async function renew(actor: string, badge: string | null): Promise<boolean> {
  const used = tokenOf(actor)
  for (const person of Object.values(book.people)) if (person.token === used) person.token = null
  if (actor.startsWith(BADGE)) return tokenOf(actor) !== null
  if (badge) {
    try {
      return (await openSession({ badge })).known.code === actor
    } catch {
      // refused or no answer: the act waits for its person
    }
  }
  await keep('people', book)
  return false
}
