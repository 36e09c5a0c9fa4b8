/** The Vite settings both apps share: where they are served, where the server finds them, and the mark of a build. */
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import type { Plugin, UserConfig } from 'vite'

/** Writes build.json = {"build": hash of all file names}: names carry content hashes, so a wall that sees another one reloads itself. */
function buildMark(): Plugin {
  return {
    name: 'gemba-build-mark',
    generateBundle(_options, bundle) {
      const build = createHash('sha256').update(Object.keys(bundle).sort().join('\n')).digest('hex').slice(0, 16)
      this.emitFile({ type: 'asset', fileName: 'build.json', source: JSON.stringify({ build }) })
    },
  }
}

/** `app` is the folder's URL name: `scanner` or `dashboards`; `port` is only for `vite` in development (the API is proxied to a server on 8000). */
export function appConfig(app: 'scanner' | 'dashboards', port: number, plugins: Plugin[] = []): UserConfig {
  const server = process.env['GEMBA_SERVER'] ?? 'http://127.0.0.1:8000'
  return {
    base: `/${app}/`,
    plugins: [vue(), buildMark(), ...plugins],
    build: {
      outDir: fileURLToPath(new URL(`../mes_server/static/${app}`, import.meta.url)),
      emptyOutDir: true,
      target: 'es2022',
      assetsInlineLimit: 0,
      reportCompressedSize: true,
      chunkSizeWarningLimit: 900,
    },
    server: { port, strictPort: true, proxy: { '/api': server } },
  }
}
