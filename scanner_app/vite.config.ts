import { defineConfig } from 'vite'
import { appConfig } from '../web_kit/vite.ts'

export default defineConfig(appConfig('scanner', 5173))
