/** The waterfall as an ECharts option; figures as the server gave them. */
import type { LossesAnswer } from '@gemba/web_kit/api/types'
import { minutes } from '@gemba/web_kit/format'
import { nameOf } from '@gemba/web_kit/i18n'
import { axisLook, baseOption, colours, hatch, type ChartOption } from '../../charts/echarts'

const TONES: Record<string, 'stop' | 'wait' | 'setup' | 'idle'> = { breakdown: 'stop', unexplained: 'stop', scrap: 'stop', material: 'wait', quality: 'wait', setup: 'setup' }

export function waterfallOption(rows: LossesAnswer['waterfall'], narrow: boolean, wide = false): ChartOption {
  const c = colours()
  const axis = axisLook()
  let level = 0
  const floors: number[] = []
  for (const row of rows) {
    if (row.kind === 'loss') {
      floors.push(Math.min(level, level - row.seconds) / 60) // a loss can be negative: faster than the ideal cycle
      level -= row.seconds
    } else {
      level = row.seconds
      floors.push(0)
    }
  }
  const colour = (row: (typeof rows)[number]): string => (row.kind === 'total' ? c.text2 : row.kind === 'rest' ? c.run : row.key === 'no_data' ? (hatch() as never) : c[TONES[row.key] ?? 'idle'])
  return {
    ...baseOption(),
    tooltip: { show: false },
    grid: { left: narrow ? 34 : 46, right: 4, top: 26, bottom: narrow ? 92 : wide ? 40 : 66 },
    xAxis: { type: 'category', data: rows.map((row) => nameOf(row) || row.key), ...axis, axisLabel: { ...axis.axisLabel, interval: 0, rotate: narrow ? 60 : wide ? 0 : 28, fontSize: narrow ? 11 : 13, width: narrow ? 92 : wide ? 96 : 170, overflow: wide ? ('break' as const) : ('truncate' as const) } },
    yAxis: { type: 'value', ...axis, axisLine: { show: false } },
    series: [
      { type: 'bar', stack: 'w', itemStyle: { color: 'transparent' }, silent: true, data: floors },
      {
        type: 'bar',
        stack: 'w',
        barWidth: '62%',
        label: { show: true, position: 'top', color: c.text, fontSize: narrow ? 10 : 13, formatter: (p) => minutes(rows[p.dataIndex]?.seconds) },
        data: rows.map((row) => ({ value: Math.abs(row.seconds) / 60, itemStyle: { color: colour(row) } })),
      },
    ],
  }
}
