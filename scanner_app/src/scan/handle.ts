/** Every scan on every screen: the code's type decides what happens. */
import type { Read } from '@gemba/web_kit/scan/codes'
import { isMisread } from '@gemba/web_kit/scan/codes'
import { ScanRouter, type Arrival } from '@gemba/web_kit/scan/router'
import { inLang, type Pair } from '@gemba/web_kit/i18n'
import { explainStop, produceSerial } from '../acts/acts'
import { band, clearBand, showBand, showProblem } from '../state/band'
import { home, job, machineCode, openStops, plant } from '../state/home'
import { handoverWaits } from '../state/handover'
import { knownBadge, person, signInByBadge, touch } from '../state/session'
import { setStation } from '../state/settings'
import { actAs, openSheet, sheet, sheetScan } from '../state/ui'
import type { ReasonTile, ScanAnswer } from '../types'
import { resolve } from './known'

const router = new ScanRouter()
let keptForBadge: Read | null = null
/** One scan after the other, in the order they came. */
let line: Promise<void> = Promise.resolve()

export function onScan(text: string, at: number = performance.now()): void {
  const arrival = router.arrive(text, at)
  line = line.then(() => handle(arrival)).catch((error: unknown) => console.error(error))
}

export function onMisread(text: string): void {
  showBand('error', ['没读全，请再扫', 'Not read completely, scan again'], [short(text), short(text)])
}

/** A calibration card or an enrolment code is not for the router. */
export const forgetLastScan = (): void => router.forget()

const short = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text)

async function handle(arrival: Arrival): Promise<void> {
  touch()
  if (arrival.kind === 'chatter') return
  if (arrival.kind === 'again') return showBand('ask', ['已扫过', 'Already scanned'], [short(arrival.raw), short(arrival.raw)])
  if (arrival.kind === 'misread' || isMisread(arrival.read.raw)) return onMisread(arrival.kind === 'misread' ? arrival.raw : arrival.read.raw)
  const { read } = arrival
  if (band.value?.tone === 'error') clearBand()
  const calibration = sheet.value?.name === 'settings' ? sheetScan() : null
  if (calibration && (await calibration(read, null))) return
  if (read.kind === 'badge' || knownBadge(read.raw) || (!person.value && (read.kind === 'other' || read.kind === 'ean'))) return badge(read)
  if (!person.value) {
    keptForBadge = read
    return showBand('ask', ['先刷工牌', 'Badge first'], [`${short(read.raw)} 已记住，刷牌后继续`, `${short(read.raw)} is kept and used after the badge`])
  }
  await use(read)
}

async function badge(read: Read, name?: string): Promise<void> {
  const known = knownBadge(read.raw)
  if (sheet.value && person.value && sheet.value.name !== 'person' && sheet.value.name !== 'station') {
    if (known && known.code === person.value.code) return
    const who = known?.name ?? name
    actAs.value = { badge: read.raw, name: who ?? '…' }
    return showBand('ok', [`本次由 ${who ?? '该工牌'} 记录`, `This act is booked by ${who ?? 'this badge'}`])
  }
  if (known && person.value?.code === known.code && person.value.checked) return
  if (!(await signInByBadge(read.raw))) return
  if (person.value?.checked) showBand('ok', [`你好，${person.value.name}`, `Hello, ${person.value.name}`])
  const kept = keptForBadge
  keptForBadge = null
  if (kept) await use(kept)
  else if (handoverWaits.value) openSheet('handover')
}

async function use(read: Read): Promise<void> {
  const resolved = await resolve(read)
  const answer = resolved.answer
  const open = sheetScan()
  if (open && (await open(read, answer))) return
  if (!answer) {
    if (resolved.why === 'refused' && resolved.problem) return showProblem(resolved.problem)
    if (resolved.why === 'offline' && (read.kind === 'operation' || read.kind === 'order')) return openSheet('start', { unknown: read.code })
    if (resolved.why === 'offline') return showBand('ask', ['离线，本机不认识这个条码', 'Offline, and this tablet does not know the code'], [short(read.raw), short(read.raw)])
    return unknown(read.raw)
  }
  await act(read, answer)
}

function unknown(raw: string): void {
  showBand('error', [`不认识的条码：${short(raw)}`, `Unknown code: ${short(raw)}`], ['请再扫一次，或请班组长登记。', 'Scan again, or ask your supervisor to register it.'])
}

async function act(read: Read, answer: ScanAnswer): Promise<void> {
  switch (answer.kind) {
    case 'badge':
      return badge(read, answer.label_zh)
    case 'operation':
    case 'order':
      return openSheet('start', { scanned: answer })
    case 'lot':
      return openSheet('material', { scanned: answer })
    case 'serial':
      return serial(answer)
    case 'machine':
    case 'station':
      return place(answer)
    case 'reason':
      return reason(answer)
    case 'misread':
      return onMisread(read.raw)
    case 'gs1':
      return gs1(answer)
    case 'item':
      return showBand('ask', [`物料 ${answer.label_zh}`, `Item ${answer.label_en}`], ['请扫描批次标签来投料。', 'Scan the lot label to consume it.'])
    case 'unknown':
      return read.kind === 'serial' ? serial({ ...answer, kind: 'serial', code: read.code, data: {}, label_zh: read.code, label_en: read.code }) : unknown(read.raw)
  }
}

/** At the end of the line a new serial is a finished piece; anywhere else a piece to look at. */
async function serial(answer: ScanAnswer): Promise<void> {
  const running = job.value
  const made = answer.data && Object.keys(answer.data).length > 0 && answer.data['known'] !== false
  if (running && running.order.item.tracking === 'serial' && !made && isPacking()) {
    const entry = await produceSerial(running, answer.code)
    if (entry) showBand('ok', [`下线 ${answer.code}`, `Produced ${answer.code}`])
    return
  }
  openSheet('subject', { subject: { kind: 'serial', code: answer.code }, label: inLang(answer, 'label') })
}

const isPacking = (): boolean => job.value?.operation.machine_class === 'eol'

function gs1(answer: ScanAnswer): void {
  const data = answer.data ?? {}
  const lot = text(data['lot'])
  const serialNo = text(data['serial'])
  if (lot) return showBand('error', [`批次 ${lot} 未登记`, `Lot ${lot} is not registered`], ['请班组长先收货。', 'Ask your supervisor to receive it first.'])
  if (serialNo) return openSheet('subject', { subject: { kind: 'serial', code: serialNo }, label: inLang(answer, 'label') })
  showBand('ask', [answer.label_zh, answer.label_en])
}

const text = (value: unknown): string => (typeof value === 'string' ? value : ((value as { code?: string; lot?: string } | null)?.code ?? (value as { lot?: string } | null)?.lot ?? ''))

async function place(answer: ScanAnswer): Promise<void> {
  if (home.value?.machines.some((one) => one.code === answer.code)) {
    machineCode.value = answer.code
    return showBand('ok', [answer.label_zh, answer.label_en])
  }
  const home_ = plant.value?.stations.find((one) => one.code === answer.code || one.machines.includes(answer.code))
  if (sheet.value?.name === 'station' && home_) {
    await setStation(home_.code)
    return showBand('ok', [home_.name_zh, home_.name_en])
  }
  showBand('ask', [`${answer.code} 不在本工位`, `${answer.code} is not at this station`], ['点左上角工位名可换工位。', 'Tap the station name to change the station.'])
}

async function reason(answer: ScanAnswer): Promise<void> {
  const stop = openStops.value[0]
  const tile: ReasonTile = { code: answer.code, zh: answer.label_zh, en: answer.label_en }
  if (!stop || !home.value?.stop_reasons.some((one) => one.code === answer.code)) {
    return showBand('ask', ['现在没有待说明的停机', 'There is no stop to explain now'])
  }
  if (await explainStop(stop.machine, stop.from, tile)) showBand('ok', stopWords(tile))
}

export const stopWords = (tile: ReasonTile): Pair => [`停机原因：${tile.zh}`, `Stop reason: ${tile.en}`]
