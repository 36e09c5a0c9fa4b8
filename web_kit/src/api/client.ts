/** The only place that talks HTTP. Bearer token (tablets) or cookie (desks), X-Lang, problem+json → ApiError, acts with a client-made id. */
import { plantNow, setPlantTime } from '../clock'
import { lang } from '../i18n'
import { uuid7 } from '../uuid'
import { ApiError, offlineError, problemOf } from './problem'
import type { Acted, ClockNow } from './types'

export type Query = Record<string, string | number | boolean | null | undefined>
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface RequestOptions {
  query?: Query
  body?: unknown
  /** Raw body (a photo): sent as it is, with its own content type. */
  raw?: Blob
  headers?: Record<string, string>
  signal?: AbortSignal
  timeoutMs?: number
}

export const BASE = '/api/v1'
/** Real milliseconds until a request without an answer counts as "no answer". */
const TIMEOUT_MS = 20_000

interface Credentials {
  token: string | null
  device: string | null
}
const credentials: Credentials = { token: null, device: null }
let onSignedOut: (error: ApiError) => void = () => undefined

/** Bearer token and device token from now on; null = the cookie alone. */
export function setCredentials(next: Partial<Credentials>): void {
  Object.assign(credentials, next)
}

/** Called on every 401, so that the app can show its sign-in. */
export function whenSignedOut(handler: (error: ApiError) => void): void {
  onSignedOut = handler
}

export function headersFor(method: Method, extra: Record<string, string> = {}): Record<string, string> {
  const headers: Record<string, string> = { 'X-Lang': lang.value, ...extra }
  if (credentials.token) headers['Authorization'] = `Bearer ${credentials.token}`
  if (credentials.device) headers['X-Device'] = credentials.device
  if (method !== 'GET') headers['X-Gemba'] = '1' // a form on another site cannot set this header
  return headers
}

export function urlOf(path: string, query: Query = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '')
  const search = new URLSearchParams(pairs.map(([key, value]) => [key, String(value)])).toString()
  return `${BASE}${path}${search ? `?${search}` : ''}`
}

/** One request. Resolves with the JSON body (undefined for 204); throws ApiError and nothing else. */
export async function request<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
  const headers = headersFor(method, options.headers)
  if (options.body !== undefined) headers['Content-Type'] = 'application/json'
  const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS)
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
  let response: Response
  try {
    response = await fetch(urlOf(path, options.query), {
      method,
      headers,
      signal,
      credentials: 'same-origin',
      body: options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body)),
    })
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw offlineError()
  }
  const body = await bodyOf(response)
  if (response.ok) return body as T
  const failed = new ApiError(problemOf(response.status, body))
  if (response.status === 401) onSignedOut(failed)
  throw failed
}

async function bodyOf(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined
  const type = response.headers.get('content-type') ?? ''
  try {
    return type.includes('json') ? await response.json() : await response.blob()
  } catch {
    if (response.ok) throw offlineError() // cut off half-way
    return undefined
  }
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> => request<T>('GET', path, { query, signal })
export const post = <T>(path: string, body?: unknown): Promise<T> => request<T>('POST', path, { body: body ?? {} })
export const patch = <T>(path: string, body: unknown): Promise<T> => request<T>('PATCH', path, { body })
export const put = <T>(path: string, body: unknown): Promise<T> => request<T>('PUT', path, { body })
export const remove = <T>(path: string): Promise<T> => request<T>('DELETE', path)

/** Id and time of an act, made once at the first touch and kept for every repeat of it. */
export interface Stamp {
  event_id: string
  occurred_at: string
}

export function stamp(): Stamp {
  const now = plantNow()
  return { event_id: uuid7(now), occurred_at: new Date(now).toISOString() }
}

/** Sends one act. No answer or 5xx: the same act (same id) again, so that it is booked once whatever was lost. */
export async function act<B = Record<string, unknown>>(method: 'POST' | 'PATCH' | 'PUT' | 'DELETE', path: string, fields: object = {}, tries = 3): Promise<Acted<B>> {
  const body = { ...stamp(), ...fields }
  for (let left = tries; ; left--) {
    try {
      return await request<Acted<B>>(method, path, { body })
    } catch (error) {
      if (!(error instanceof ApiError) || !error.again || left <= 1) throw error
      await new Promise((resolve) => setTimeout(resolve, 400 * (tries - left + 1)))
    }
  }
}

/** Asks the server for plant time; the answer's age is taken as half the round trip. */
export async function syncClock(): Promise<void> {
  const asked = performance.now()
  const now = await request<ClockNow>('GET', '/clock', { timeoutMs: 5_000 })
  setPlantTime(now.now, now.speed, (asked + performance.now()) / 2)
}
