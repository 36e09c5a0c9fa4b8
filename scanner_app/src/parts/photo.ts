/** A photo small enough to keep and send: at most 1600 px and 400 kB as JPEG. */
export const EDGE_PX_MAX = 1600
export const BYTES_MAX = 400_000

export async function shrink(source: CanvasImageSource, width: number, height: number): Promise<Blob> {
  const scale = Math.min(1, EDGE_PX_MAX / Math.max(width, height))
  const canvas = document.createElement('canvas')
  canvas.width = Math.round(width * scale)
  canvas.height = Math.round(height * scale)
  canvas.getContext('2d')?.drawImage(source, 0, 0, canvas.width, canvas.height)
  for (let quality = 0.85; ; quality -= 0.15) {
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', quality))
    if (!blob) throw new Error('this browser made no JPEG')
    if (blob.size <= BYTES_MAX || quality < 0.3) return blob
  }
}
