/** Decodes one frame a message; answers with the code's text (with its symbology identifier where it is GS1) or null. */
import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader'
import wasmUrl from 'zxing-wasm/reader/zxing_reader.wasm?url'

prepareZXingModule({ overrides: { locateFile: (path: string, prefix: string) => (path.endsWith('.wasm') ? wasmUrl : prefix + path) } })

self.onmessage = async (event: MessageEvent<ImageData>) => {
  try {
    const [best] = await readBarcodes(event.data, {
      formats: ['QRCode', 'DataMatrix', 'Code128', 'EAN13', 'EAN8', 'UPCA', 'Code39', 'ITF'],
      maxNumberOfSymbols: 1,
      tryHarder: false,
    })
    self.postMessage(best?.isValid ? textOf(best) : null)
  } catch {
    self.postMessage(null) // an unreadable frame is a frame without a code
  }
}

function textOf(result: { bytes: Uint8Array; text: string; symbologyIdentifier: string; contentType: string }): string {
  const text = new TextDecoder().decode(result.bytes)
  return result.contentType === 'GS1' ? result.symbologyIdentifier + text : text
}
