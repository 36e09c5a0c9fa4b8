/** Every page has an address; the address holds what is shown. */
import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { ApiError } from '@gemba/web_kit/api/problem'
import { get } from '@gemba/web_kit/api/client'
import { me, resume } from '@gemba/web_kit/session'
import { homeOf } from './shell/home'
import { loadPlant, plant } from './plant'

const routes: RouteRecordRaw[] = [
  { path: '/', name: 'home', component: () => import('./pages/MissingPage.vue') }, // the guard below sends each role to its own page
  { path: '/signin', name: 'signin', component: () => import('./pages/SignIn.vue'), meta: { open: true, bare: true } },
  { path: '/setup', name: 'setup', component: () => import('./pages/SetUp.vue'), meta: { open: true, bare: true } },
  { path: '/yesterday', name: 'yesterday', component: () => import('./pages/yesterday/YesterdayPage.vue') },
  { path: '/now', name: 'now', component: () => import('./pages/NowPage.vue') },
  { path: '/machines/:code', name: 'machine', component: () => import('./pages/machine/MachinePage.vue') },
  { path: '/losses', name: 'losses', component: () => import('./pages/losses/LossesPage.vue') },
  { path: '/orders', name: 'orders', component: () => import('./pages/orders/OrdersPage.vue') },
  { path: '/orders/:number', name: 'order', component: () => import('./pages/orders/OrderPage.vue') },
  { path: '/energy', name: 'energy', component: () => import('./pages/energy/EnergyPage.vue') },
  { path: '/trace', name: 'trace', component: () => import('./pages/trace/TracePage.vue') },
  { path: '/erp', name: 'erp', component: () => import('./pages/erp/ErpPage.vue') },
  { path: '/people', name: 'people', component: () => import('./pages/people/PeoplePage.vue') },
  { path: '/health', name: 'health', component: () => import('./pages/health/HealthPage.vue') },
  { path: '/wall/:line', name: 'wall', component: () => import('./pages/wall/WallPage.vue'), meta: { open: true, bare: true } },
  { path: '/:all(.*)*', name: 'missing', component: () => import('./pages/MissingPage.vue') },
]

export const router = createRouter({
  history: createWebHistory('/dashboards/'),
  routes,
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? false : { top: 0 }),
})

let asked = false

async function needsSetUp(): Promise<boolean> {
  try {
    return (await get<{ needed: boolean }>('/setup')).needed
  } catch (error) {
    if (error instanceof ApiError) return false // an older server, or none: the sign-in page will say so
    throw error
  }
}

router.beforeEach(async (to) => {
  if (to.name === 'signin' && (await needsSetUp())) return { name: 'setup' }
  if (to.meta['open']) return true
  if (!me.value && !asked) {
    asked = true
    await resume()
  }
  if (!me.value) {
    if (await needsSetUp()) return { name: 'setup' }
    return { name: 'signin', query: to.path === '/' ? {} : { next: to.fullPath } }
  }
  if (!plant.value) {
    try {
      await loadPlant()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error // the server went away just now: the page itself says so and tries again
    }
  }
  return to.name === 'home' ? homeOf(me.value) : true
})

/** After signing out, the next page asks again who is there. */
export function forgetSession(): void {
  asked = false
}
