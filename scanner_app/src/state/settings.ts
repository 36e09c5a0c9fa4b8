/** What this device was told once: who it is, where it stands, how it sounds, how its scanner speaks. */
import { setCredentials } from '@gemba/web_kit/api/client'
import { setSound } from '@gemba/web_kit/sound/feedback'
import { WEDGE_DEFAULT, type WedgeConfig } from '@gemba/web_kit/scan/wedge'
import { reactive, ref, watch } from 'vue'
import { keep, kept } from './db'

export interface Device {
  code: string
  name: string
  token: string
}
export interface Settings {
  volume: number
  quiet: boolean
  /** a start check with nothing open starts by itself after 3 s */
  autoStart: boolean
  /** the person is signed off after so many idle minutes (the station stays readable) */
  idleMin: number
  wedge: WedgeConfig
}

export const device = ref<Device | null>(null)
export const station = ref<string | null>(null)
export const settings = reactive<Settings>({ volume: 0.8, quiet: false, autoStart: false, idleMin: 15, wedge: { ...WEDGE_DEFAULT } })

export async function loadSettings(): Promise<void> {
  Object.assign(settings, await kept<Settings>('settings'))
  device.value = (await kept<Device>('device')) ?? null
  station.value = (await kept<string>('station')) ?? null
  setCredentials({ device: device.value?.token ?? null })
  setSound(settings)
  watch(settings, () => {
    setSound(settings)
    void keep('settings', settings)
  })
}

export async function setDevice(next: Device): Promise<void> {
  device.value = next
  setCredentials({ device: next.token })
  await keep('device', next)
}

export async function setStation(code: string): Promise<void> {
  station.value = code
  await keep('station', code)
}
