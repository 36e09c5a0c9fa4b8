/** What lets a wall run alone for weeks: its own device token, an awake screen, and a reload when the server brings a new build. */
import { post, setCredentials } from '@gemba/web_kit/api/client'

const KEPT = 'gemba.wall.device'

interface Enrolled {
  device: string
  device_token: string
}

/** Takes the enrolment code of the address once; later the kept device token. A signed-in browser needs neither. Throws ApiError when the code is refused. */
export async function useWallCredentials(code: unknown): Promise<void> {
  const kept = localStorage.getItem(KEPT)
  if (kept) setCredentials({ token: kept })
  else if (typeof code === 'string' && code) {
    const found = await post<Enrolled>('/devices/enrol', { code })
    localStorage.setItem(KEPT, found.device_token)
    setCredentials({ token: found.device_token })
  }
}

/** Holds the screen awake while the page is visible, where the browser allows it (secure contexts). Returns the way to stop. */
export function keepAwake(): () => void {
  let lock: WakeLockSentinel | null = null
  const ask = async (): Promise<void> => {
    if (document.hidden || !('wakeLock' in navigator)) return
    try {
      lock = await navigator.wakeLock.request('screen')
    } catch {
      lock = null // low battery or forbidden: the TV's own setting must do
    }
  }
  const again = (): void => void ask()
  void ask()
  document.addEventListener('visibilitychange', again)
  return () => {
    document.removeEventListener('visibilitychange', again)
    void lock?.release()
  }
}

const LOOK_EVERY_MS = 60_000

/** Reloads the page when the server serves another build than the one that runs here. */
export function reloadOnNewBuild(): () => void {
  let mine: string | null = null
  const look = async (): Promise<void> => {
    try {
      const answer = await fetch(`${import.meta.env.BASE_URL}build.json`, { cache: 'no-store' })
      if (!answer.ok) return
      const { build } = (await answer.json()) as { build: string }
      mine ??= build
      if (build !== mine) location.reload()
    } catch {
      // The server is away: nothing to compare with. The stale mark says so already.
    }
  }
  void look()
  const timer = setInterval(() => void look(), LOOK_EVERY_MS)
  return () => clearInterval(timer)
}
