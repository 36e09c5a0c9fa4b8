/** What the server answers when it cannot do what was asked (RFC 9457 problem+json), as one typed error. */
import { inPlantTime } from '../format'
import { lang } from '../i18n'

export interface Problem {
  type: string
  title: string
  status: number
  code: string
  next_step: string
  params: Record<string, string | number | boolean | null>
  instance?: string
}

/** `offline` = no answer at all: the only kind an outbox sends again by itself, beside 503 and other 5xx. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  constructor(
    readonly problem: Problem,
    readonly offline: boolean = false,
  ) {
    super(problem.title)
  }
  get code(): string {
    return this.problem.code
  }
  get status(): number {
    return this.problem.status
  }
  get nextStep(): string {
    return this.problem.next_step
  }
  /** Worth sending again unchanged. */
  get again(): boolean {
    return this.offline || this.status >= 500 || this.status === 429
  }
}

function words(zh: [string, string], en: [string, string]): [string, string] {
  return lang.value === 'zh' ? zh : en
}

export function offlineError(): ApiError {
  const [title, next] = words(['服务器没有应答。', '请检查网络，页面会自动重连。'], ['The server does not answer.', 'Check the network; this page reconnects by itself.'])
  return new ApiError({ type: 'urn:gemba:error:offline', title, status: 0, code: 'offline', next_step: next, params: {} }, true)
}

/** A body that is not a problem (a proxy's page, say) never reaches a person. */
export function problemOf(status: number, body: unknown): Problem {
  if (typeof body === 'object' && body !== null && 'title' in body && 'code' in body) {
    const found = body as Problem
    return { ...found, title: inPlantTime(found.title) }
  }
  const [title, next] = words([`服务器返回了错误（${status}）。`, '请稍后重试；若持续出现请联系管理员。'], [`The server answered with an error (${status}).`, 'Try again; tell your administrator if this lasts.'])
  return { type: 'about:blank', title, status, code: `http_${status}`, next_step: next, params: {} }
}
