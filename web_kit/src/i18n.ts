/** Words in Chinese and English. A key without both is a compile error: every entry is a pair. */
import { ref, watchEffect } from 'vue'

export type Lang = 'zh' | 'en'
/** One entry: `[zh, en]`, with `{name}` placeholders. */
export type Pair = readonly [zh: string, en: string]
export type Params = Record<string, string | number>

const KEPT = 'gemba.lang'

function firstLang(): Lang {
  const asked = new URLSearchParams(location.search).get('lang')
  if (asked === 'zh' || asked === 'en') return asked
  const kept = localStorage.getItem(KEPT)
  if (kept === 'zh' || kept === 'en') return kept
  return navigator.language.toLowerCase().startsWith('en') ? 'en' : 'zh'
}

/** The person's language; every text on the screen follows it at once. */
export const lang = ref<Lang>(firstLang())

watchEffect(() => {
  document.documentElement.lang = lang.value === 'zh' ? 'zh-CN' : 'en'
})

export function setLang(next: Lang): void {
  lang.value = next
  localStorage.setItem(KEPT, next)
}

/** Fills `{name}` placeholders; an unknown one stays visible, so that it is seen and mended. */
export function fill(text: string, params?: Params): string {
  return params ? text.replace(/\{(\w+)\}/g, (all, name: string) => (name in params ? String(params[name]) : all)) : text
}

/** A typed translator for one catalogue: `const t = words({ save: ['保存', 'Save'] }); t('save')`. */
export function words<T extends Record<string, Pair>>(catalogue: T): (key: keyof T & string, params?: Params) => string {
  return (key, params) => fill(say(catalogue[key] as Pair), params)
}

export function say(pair: Pair): string {
  return lang.value === 'zh' ? pair[0] : pair[1]
}

/** The name of anything the server names in both languages (`name_zh`/`name_en`, `label_*`, `text_*` or `zh`/`en`); "" when there is none. */
export function nameOf(thing: object | null | undefined): string {
  if (!thing) return ''
  const one = thing as Record<string, unknown>
  const other: Lang = lang.value === 'zh' ? 'en' : 'zh'
  for (const which of [lang.value, other]) {
    for (const key of [`name_${which}`, `label_${which}`, `text_${which}`, which]) {
      const found = one[key]
      if (typeof found === 'string' && found) return found
    }
  }
  return ''
}

/** `say_zh`/`say_en` style fields with any stem: `inLang(tile, 'reason')` reads `reason_zh` or `reason_en`. */
export function inLang(thing: object | null | undefined, stem: string): string {
  const one = (thing ?? {}) as Record<string, unknown>
  const found = one[`${stem}_${lang.value}`] ?? one[`${stem}_${lang.value === 'zh' ? 'en' : 'zh'}`]
  return typeof found === 'string' ? found : ''
}
