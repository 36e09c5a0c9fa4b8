/**
 * The people this tablet has met: their sign-ins (to send each act as the person who did it) and the hashes of their badges (so that a known
 * badge works without the network). A badge itself is kept only while an act needs it: "this act only", or a badge no server has checked yet.
 */
import { keep, kept } from './db'
import { sha256 } from './sha256'

export interface Known {
  code: string
  name: string
  lang: 'zh' | 'en'
  rights: string[]
  token: string | null
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

export function tokenOf(actor: string): string | null {
  const own = book.people[actor]?.token
  if (own || (actor !== '' && !actor.startsWith(BADGE))) return own ?? null
  return (current ? book.people[current]?.token : null) ?? Object.values(book.people).find((one) => one.token)?.token ?? null
}

export function asBadgeOf(actor: string, act: object): { as_badge?: string } {
  return actor.startsWith(BADGE) && !('as_badge' in act) ? { as_badge: actor.slice(BADGE.length) } : {}
}

/** The server no longer takes this sign-in. True when another one can stand in (acts that name their badge). */
export function forgetToken(actor: string): boolean {
  const used = tokenOf(actor)
  for (const person of Object.values(book.people)) if (person.token === used) person.token = null
  void keep('people', book)
  return actor.startsWith(BADGE) && tokenOf(actor) !== null
}
