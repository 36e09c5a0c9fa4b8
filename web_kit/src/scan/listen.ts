/**
 * Ties the wedge to a window. Every key is seen first here (capture phase): a burst presses no button and types into no field, a person's
 * lone Space or Enter on a focused button still works.
 */
import { Wedge, type WedgeConfig, type WedgeKey, type WedgeResult } from './wedge'

export interface ScanListener {
  onScan(text: string): void
  onMisread(text: string): void
  /** raw keys, for the calibration page */
  onKey?(key: WedgeKey): void
}

interface Snapshot {
  field: HTMLInputElement | HTMLTextAreaElement
  value: string
  start: number | null
}

function isEditable(target: EventTarget | null): target is HTMLInputElement | HTMLTextAreaElement {
  if (target instanceof HTMLTextAreaElement) return true
  return target instanceof HTMLInputElement && !['button', 'checkbox', 'radio', 'submit', 'file', 'range'].includes(target.type) && !('catcher' in target.dataset)
}

/** Starts listening; returns how to stop and how to change the configuration. */
export function listenForScans(window: Window, listener: ScanListener, config?: WedgeConfig): { stop(): void; configure(config: WedgeConfig): void } {
  const wedge = new Wedge(config)
  let timer = 0
  let before: Snapshot | null = null
  const heldUp = new Set<string>()

  const restore = (): void => {
    if (!before) return
    const { field, value, start } = before
    before = null
    if (field.value === value) return
    field.value = value
    field.setSelectionRange?.(start, start)
    field.dispatchEvent(new InputEvent('input', { bubbles: true }))
  }

  const act = (results: WedgeResult[]): void => {
    for (const result of results) {
      if (result.kind === 'lone') {
        if (result.key === ' ') clickFocused(window)
      } else {
        restore()
        if (result.kind === 'scan') listener.onScan(result.text)
        else listener.onMisread(result.text)
      }
    }
    if (!wedge.open) before = null
  }

  const wait = (): void => {
    window.clearTimeout(timer)
    if (wedge.open) timer = window.setTimeout(() => { act(wedge.quiet(performance.now())); wait() }, wedge.config.gapMs + 20)
  }

  const down = (event: KeyboardEvent): void => {
    if (event.repeat && event.key === ' ') return event.preventDefault()
    const editable = isEditable(event.target)
    const key: WedgeKey = { key: event.key, code: event.code, ctrl: event.ctrlKey, meta: event.metaKey, shift: event.shiftKey, at: event.timeStamp, editable }
    listener.onKey?.(key)
    if (editable && !wedge.open) {
      const field = event.target as HTMLInputElement | HTMLTextAreaElement
      before = { field, value: field.value, start: field.selectionStart }
    }
    const step = wedge.press(key)
    if (step.suppress) {
      event.preventDefault()
      event.stopImmediatePropagation()
      heldUp.add(event.code)
    }
    act(step.results)
    wait()
  }

  const up = (event: KeyboardEvent): void => {
    if (!heldUp.delete(event.code)) return
    event.preventDefault() // a button is pressed by the *release* of Space
    event.stopImmediatePropagation()
  }

  const paste = (event: ClipboardEvent): void => {
    if (isEditable(event.target)) return
    const text = event.clipboardData?.getData('text').trim() ?? ''
    if (text) listener.onScan(text) // handhelds that deliver by clipboard
  }

  window.addEventListener('keydown', down, true)
  window.addEventListener('keyup', up, true)
  window.addEventListener('paste', paste, true)
  const letGo = catchComposed(window, (text) => listener.onScan(text))
  return {
    stop(): void {
      window.removeEventListener('keydown', down, true)
      window.removeEventListener('keyup', up, true)
      window.removeEventListener('paste', paste, true)
      window.clearTimeout(timer)
      letGo()
    },
    configure(next: WedgeConfig): void {
      wedge.config = next
    },
  }
}

function clickFocused(window: Window): void {
  const focused = window.document.activeElement
  if (focused instanceof HTMLElement && focused.matches('button, [role=button], a[href], input[type=checkbox], input[type=radio], summary')) focused.click()
}

/**
 * Android handhelds whose scanner works as an input method commit the whole code as text, without keys. A hidden field that never shows a
 * soft keyboard (inputmode none; readonly or type=hidden would switch the scanner off) catches it, and takes the focus back when nobody has it.
 */
function catchComposed(window: Window, onText: (text: string) => void): () => void {
  const { document } = window
  if (!/Android/i.test(window.navigator.userAgent)) return () => undefined
  const field = document.createElement('input')
  field.inputMode = 'none'
  field.autocomplete = 'off'
  field.tabIndex = -1
  field.dataset['catcher'] = ''
  field.ariaHidden = 'true'
  field.style.cssText = 'position:fixed;left:0;top:0;width:1px;height:1px;opacity:0;border:0;padding:0;pointer-events:none'
  let timer = 0
  const flush = (): void => {
    const text = field.value.replace(/[\r\n\t]+$/, '')
    field.value = ''
    if (text.length >= 3) onText(text)
  }
  field.addEventListener('input', () => {
    window.clearTimeout(timer)
    timer = window.setTimeout(flush, 80)
  })
  const focus = (): void => {
    if (document.activeElement === document.body || document.activeElement === null) field.focus({ preventScroll: true })
  }
  document.body.append(field)
  const every = window.setInterval(focus, 1000)
  focus()
  return () => {
    window.clearInterval(every)
    field.remove()
  }
}
