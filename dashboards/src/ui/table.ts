/** One description of a table for the screen, the clipboard and CSV: the same figures everywhere. */
import type { RouteLocationRaw } from 'vue-router'

export interface Column {
  key: string
  label: string
  num?: boolean
}
export type Cell = string | { text: string; to?: RouteLocationRaw; tone?: 'bad' | 'warn' | 'good' | 'dim' | 'unknown' }
export interface TableData {
  columns: Column[]
  rows: Record<string, Cell>[]
}

export const textOf = (cell: Cell | undefined): string => (cell === undefined ? '' : typeof cell === 'string' ? cell : cell.text)

function lines(table: TableData, separator: string, quote: (text: string) => string): string {
  const head = table.columns.map((one) => quote(one.label))
  const body = table.rows.map((row) => table.columns.map((one) => quote(textOf(row[one.key]))))
  return [head, ...body].map((cells) => cells.join(separator)).join('\r\n')
}

/** CSV with a byte order mark, so that spreadsheets read Chinese; a leading =, +, - or @ is defused unless the cell is a number. */
export function csvOf(table: TableData): string {
  const quote = (text: string): string => {
    const safe = /^[=+@-]/.test(text) && !/^-?[\d.,\s]+%?$/.test(text) ? `'${text}` : text
    return `"${safe.replace(/"/g, '""')}"`
  }
  return `\ufeff${lines(table, ',', quote)}`
}

export function tsvOf(table: TableData): string {
  return lines(table, '\t', (text) => text.replace(/[\t\r\n]+/g, ' '))
}

export function saveText(name: string, text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 5_000)
}

/** navigator.clipboard is missing on http:// addresses; the old way still works there. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text)
    return
  }
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}
