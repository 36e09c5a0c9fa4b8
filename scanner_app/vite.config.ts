import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { defineConfig, type Plugin } from 'vite'
import { appConfig } from '../web_kit/vite.ts'

/** Writes sw.js with the names of this build's files, and says in the app which build it is. */
function serviceWorker(base: string): Plugin {
  return {
    name: 'gemba-service-worker',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const files = Object.keys(bundle).filter((name) => name !== 'sw.js').sort()
        if (!files.includes('index.html')) files.unshift('index.html')
        const kept = [...files.filter((name) => name !== 'build.json'), 'manifest.webmanifest', 'icon.svg', 'icon-192.png', 'icon-512.png']
        const build = createHash('sha256').update(kept.join('\n')).digest('hex').slice(0, 12)
        const source = readFileSync(new URL('./src/sw/sw.js', import.meta.url), 'utf8')
          .replace('__BUILD__', build)
          .replace('__FILES__', JSON.stringify(kept))
          .replace('__BASE__', base)
        this.emitFile({ type: 'asset', fileName: 'sw.js', source })
      },
    },
  }
}

const FIRST =
  /node_modules|plugin-vue|preload-helper|web_kit\/src\/(api|i18n|format|clock|uuid|live|states|sound|scan\/(codes|router|wedge))|scanner_app\/src\/(state\/(?!calls|update)|outbox|scan|lazy|words|acts\/(?!startcheck))/
const config = appConfig('scanner', 5173, [serviceWorker('/scanner/')])
export default defineConfig({
  ...config,
  worker: { format: 'es' },
  build: {
    ...config.build,
    modulePreload: { polyfill: false },
    // what every screen needs is one file: it compresses better than eight
    rolldownOptions: { output: { advancedChunks: { groups: [{ name: 'base', test: FIRST }] } } },
  },
  define: {
    __VUE_OPTIONS_API__: 'false',
    __VUE_PROD_DEVTOOLS__: 'false',
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    __VERSION__: JSON.stringify(JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')).version),
  },
})
