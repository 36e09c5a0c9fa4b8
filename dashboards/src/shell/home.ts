/** Where each role lands. The first role that has a home of its own decides. */
import type { Person } from '@gemba/web_kit/api/types'

const HOMES: [role: string, path: string][] = [
  ['manager', '/yesterday'],
  ['supervisor', '/now'],
  ['planner', '/orders'],
  ['energy', '/energy'],
  ['energy_manager', '/energy'],
  ['quality', '/trace'],
  ['inspector', '/trace'],
  ['admin', '/yesterday'],
]

export function rolesOf(person: Person | null): string[] {
  return (person?.roles ?? []).map((one) => (typeof one === 'string' ? one : one.role))
}

export function homeOf(person: Person | null): string {
  if (!person) return '/signin'
  const roles = rolesOf(person)
  return HOMES.find(([role]) => roles.includes(role))?.[1] ?? '/now'
}
