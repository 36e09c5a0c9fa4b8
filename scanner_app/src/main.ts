/** Starts the tablet: own store first (it works without a server), then heartbeat, outbox, live home. */
import '@gemba/web_kit/tokens.css'
import '@gemba/web_kit/base.css'
import './style.css'
import { listenForScans } from '@gemba/web_kit/scan/listen'
import { wakeSound } from '@gemba/web_kit/sound/feedback'
import { createApp, watch } from 'vue'
import App from './App.vue'
import { watchRefusals } from './acts/refusals'
import { forgetLastScan, onMisread, onScan } from './scan/handle'
import { loadSeen } from './scan/known'
import { startOutbox, wake } from './outbox/outbox'
import { loadHandover } from './state/handover'
import { loadStation, refresh, refreshPlant, watchHome } from './state/home'
import { onNetUp, startHeartbeat } from './state/net'
import { loadPeople } from './state/people'
import { loadSession, person, watchIdle } from './state/session'
import { loadSettings, settings, station } from './state/settings'
import { startUpdates } from './state/update'

/** A button that was touched does not keep the focus: the Enter of a scanner whose characters were lost would press it again, one piece more. */
function letGoOfButtons(event: MouseEvent): void {
  const held = document.activeElement
  if (event.detail > 0 && held instanceof HTMLElement && held.matches('button, [role=button], summary')) held.blur()
}

async function start(): Promise<void> {
  await loadSettings()
  await loadPeople()
  await Promise.all([loadSession(), loadStation(), loadSeen(), loadHandover()])
  createApp(App).mount('#app')
  const scans = listenForScans(window, { onScan, onMisread }, settings.wedge)
  watch(() => ({ ...settings.wedge }), (wedge) => scans.configure(wedge))
  window.addEventListener('pointerdown', wakeSound, { once: true, capture: true })
  window.addEventListener('click', letGoOfButtons)
  watchIdle()
  watchRefusals()
  await startOutbox()
  onNetUp(() => wake(0))
  watch(station, () => void loadStation().then(refresh))
  watch(() => person.value?.code, (code) => {
    if (code === undefined) return forgetLastScan() // the same badge signs in again
    void refresh()
    void refreshPlant()
  })
  await startHeartbeat()
  watchHome()
  await Promise.all([refresh(), refreshPlant()])
  startUpdates()
}

void start()
