/** The tablet's own store. Every write of an act is strict: on the disk before a person hears the tone, so a pulled battery loses nothing. */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb'
import { toRaw } from 'vue'
import type { QueueEntry } from '../outbox/logic'

/** `id`: SHA-256 of the bytes (the server's name for the picture); `event_id`: of the act that saves it. */
export interface PhotoRow {
  id: string
  event_id: string
  blob: Blob
}
interface Schema extends DBSchema {
  queue: { key: number; value: QueueEntry }
  photos: { key: string; value: PhotoRow }
  kv: { key: string; value: unknown }
}

let opened: Promise<IDBPDatabase<Schema>> | null = null

export function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>('gemba-scanner', 1, {
    upgrade(db) {
      db.createObjectStore('queue', { keyPath: 'n', autoIncrement: true })
      db.createObjectStore('photos', { keyPath: 'id' })
      db.createObjectStore('kv')
    },
    blocking() {
      void opened?.then((db) => db.close()) // a newer tab wants to upgrade: let it
      opened = null
    },
  })
  return opened
}

export async function keep(key: string, value: unknown): Promise<void> {
  const db = await database()
  await db.put('kv', plain(value), key)
}

export async function kept<T>(key: string): Promise<T | undefined> {
  const db = await database()
  return (await db.get('kv', key)) as T | undefined
}

/** Reactive proxies cannot be cloned into the store. */
export function plain<T>(value: T): T {
  return structuredClone(deepRaw(value)) as T
}

function deepRaw(value: unknown): unknown {
  const raw = toRaw(value)
  if (Array.isArray(raw)) return raw.map(deepRaw)
  if (raw && typeof raw === 'object' && Object.getPrototypeOf(raw) === Object.prototype) {
    return Object.fromEntries(Object.entries(raw).map(([key, one]) => [key, deepRaw(one)]))
  }
  return raw
}
