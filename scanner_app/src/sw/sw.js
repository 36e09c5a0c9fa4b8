/*
 * The app shell and the barcode reader, kept on the tablet: after one start with the network every screen opens without it.
 * Only files of this build are kept; the API is never cached here (the app keeps what it knows in its own store). BUILD and FILES are filled
 * in by the build.
 */
const BUILD = '__BUILD__'
const FILES = __FILES__
const BASE = '__BASE__'
const CACHE = `gemba-scanner-${BUILD}`

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => cache.addAll(FILES.map((file) => new Request(BASE + file, { cache: 'reload' })))).then(() => {
      if (!self.registration.active) return self.skipWaiting()
    }),
  )
})

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith('gemba-scanner-') && name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  )
})

self.addEventListener('message', (event) => {
  if (event.data === 'take over') void self.skipWaiting()
})

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url)
  if (event.request.method !== 'GET' || url.origin !== self.location.origin || !url.pathname.startsWith(BASE)) return
  const page = event.request.mode === 'navigate'
  event.respondWith(
    caches.open(CACHE).then(async (cache) => {
      const kept = await cache.match(page ? BASE + 'index.html' : event.request, { ignoreSearch: true })
      return kept ?? fetch(event.request)
    }),
  )
})
