/** Bundles the unit tests of the pure modules for `node --test`: no test framework to install, the machine's Node runs them. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const here = fileURLToPath(new URL('.', import.meta.url))

export default defineConfig({
  root: here,
  logLevel: 'warn',
  resolve: { alias: { '@gemba/web_kit': fileURLToPath(new URL('../../../../web_kit/src', import.meta.url)), '@scanner': fileURLToPath(new URL('../../../../scanner_app/src', import.meta.url)) } },
  ssr: { noExternal: true },
  build: {
    ssr: true,
    minify: false,
    outDir: process.env['GEMBA_UNIT_OUT'] ?? 'dist',
    emptyOutDir: true,
    target: 'node20',
    rolldownOptions: {
      input: readdirSync(here).filter((name) => name.endsWith('.test.ts')).map((name) => here + name),
      output: { entryFileNames: '[name].mjs' },
    },
  },
})
