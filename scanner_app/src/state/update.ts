/** New versions: fetched by the service worker, taken when nobody is in the middle of something. The queue lies in its own store and stays. */
import { ref } from 'vue'
import { person } from './session'
import { sheet } from './ui'

export const updateReady = ref(false)
export const secure = window.isSecureContext

export function startUpdates(): void {
  if (!('serviceWorker' in navigator)) return
  void navigator.serviceWorker.register(`${import.meta.env.BASE_URL}sw.js`, { updateViaCache: 'none' }).then((registration) => {
    window.setInterval(() => void registration.update().catch(() => undefined), 15 * 60_000)
    registration.addEventListener('updatefound', () => {
      const next = registration.installing
      next?.addEventListener('statechange', () => {
        if (next.state === 'installed' && navigator.serviceWorker.controller) {
          updateReady.value = true
          takeWhenIdle(next)
        }
      })
    })
  })
}

function takeWhenIdle(next: ServiceWorker): void {
  const timer = window.setInterval(() => {
    if (person.value || sheet.value) return
    window.clearInterval(timer)
    navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true })
    next.postMessage('take over')
  }, 5_000)
}
