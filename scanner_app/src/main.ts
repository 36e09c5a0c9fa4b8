import { createApp } from 'vue'
import '@gemba/web_kit/tokens.css'
import '@gemba/web_kit/base.css'
import App from './App.vue'

createApp(App).mount('#app')
