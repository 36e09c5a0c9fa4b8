import { createApp } from 'vue'
import '@gemba/web_kit/tokens.css'
import '@gemba/web_kit/base.css'
import './ui/ui.css'
import { whenSignedOut } from '@gemba/web_kit/api/client'
import { me } from '@gemba/web_kit/session'
import App from './App.vue'
import { forgetSession, router } from './router'

whenSignedOut(() => {
  const here = router.currentRoute.value
  if (!me.value || here.meta['open']) return
  me.value = null
  forgetSession()
  void router.push({ name: 'signin', query: { next: here.fullPath } })
})

createApp(App).use(router).mount('#app')
