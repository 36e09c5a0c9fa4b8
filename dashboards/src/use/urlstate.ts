/** The state of a view lives in its address: a link reproduces the view for another person in another language. */
import { computed, type WritableComputedRef } from 'vue'
import { useRoute, useRouter } from 'vue-router'

/** A query parameter as a ref; setting it to the fallback removes it from the address. What is not `fit` (a mistyped link) counts as not there. */
export function useParam(name: string, fallback = '', fit: (raw: string) => boolean = () => true): WritableComputedRef<string> {
  const route = useRoute()
  const router = useRouter()
  return computed({
    get: () => {
      const raw = route.query[name]
      return typeof raw === 'string' && raw && fit(raw) ? raw : fallback
    },
    set: (value) => void router.replace({ query: { ...route.query, [name]: value && value !== fallback ? value : undefined } }),
  })
}

/** Several parameters in one step. */
export function useParams(): (changes: Record<string, string | undefined>) => void {
  const route = useRoute()
  const router = useRouter()
  return (changes) => void router.replace({ query: { ...route.query, ...changes } })
}
