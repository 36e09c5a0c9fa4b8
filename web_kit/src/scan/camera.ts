/**
 * The camera as scanner: frames go to zxing in a worker (own wasm, no CDN). Loaded only when a person opens it.
 * GS1: `text` of the library has lost the separators, so the bytes are taken and the symbology identifier put before them.
 */
export interface CameraScan {
  stop(): void
}

export type CameraFault = 'insecure' | 'refused' | 'none' | 'broken'

/** Longest edge handed to the decoder, px: enough for a label at arm's length, 11–19 ms a frame. */
const FRAME_PX = 960

export function cameraPossible(): boolean {
  return typeof navigator.mediaDevices?.getUserMedia === 'function'
}

/** Opens the rear camera on `video`. Throws a CameraFault as the error's message. */
export async function openCamera(video: HTMLVideoElement, width = 1280): Promise<MediaStream> {
  if (!cameraPossible()) throw new Error('insecure' satisfies CameraFault)
  let stream: MediaStream
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: { ideal: 'environment' }, width: { ideal: width } } })
  } catch (error) {
    const name = error instanceof DOMException ? error.name : ''
    const fault: CameraFault = name === 'NotAllowedError' ? 'refused' : name === 'NotFoundError' ? 'none' : 'broken'
    throw new Error(fault, { cause: error })
  }
  video.srcObject = stream
  video.muted = true
  video.playsInline = true
  await video.play()
  return stream
}

export function closeCamera(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop()
}

/** Reads codes off a playing video until stopped. `onCode` may hear the same code again: the router drops repeats. */
export function scanVideo(video: HTMLVideoElement, onCode: (text: string) => void): CameraScan {
  const worker = new Worker(new URL('./decode.worker.ts', import.meta.url), { type: 'module' })
  const canvas = document.createElement('canvas')
  const context = canvas.getContext('2d', { willReadFrequently: true })
  let stopped = false
  let timer = 0

  const next = (): void => {
    if (stopped) return
    timer = window.setTimeout(send, 60)
  }
  const send = (): void => {
    if (stopped || !context || video.videoWidth === 0) return next()
    const scale = Math.min(1, FRAME_PX / Math.max(video.videoWidth, video.videoHeight))
    canvas.width = Math.round(video.videoWidth * scale)
    canvas.height = Math.round(video.videoHeight * scale)
    context.drawImage(video, 0, 0, canvas.width, canvas.height)
    const frame = context.getImageData(0, 0, canvas.width, canvas.height)
    worker.postMessage(frame, [frame.data.buffer])
  }
  worker.onmessage = (event: MessageEvent<string | null>) => {
    if (stopped) return
    if (event.data) onCode(event.data)
    next()
  }
  worker.onerror = next
  send()
  return {
    stop(): void {
      stopped = true
      window.clearTimeout(timer)
      worker.terminate()
    },
  }
}
