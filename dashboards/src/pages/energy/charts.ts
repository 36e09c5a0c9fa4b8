/** Load curves and months as ECharts options. */
import type { EnergyMonth, LoadSeries } from '@gemba/web_kit/api/types'
import { hm, kw, kwh, msOf } from '@gemba/web_kit/format'
import { axisLook, baseOption, colours, hatch, type ChartOption } from '../../charts/echarts'

export interface LoadLine {
  name: string
  series: LoadSeries
  main: boolean
}

/** Spans nothing is known of on the main line: [start, end] in milliseconds. Time that has not come yet is not a hole. */
export function holes(points: LoadSeries['points'], stepMs: number, untilMs: number): [number, number][] {
  const out: [number, number][] = []
  for (const point of points) {
    const at = msOf(point.at) ?? 0
    if (point.w_mean !== null || at + stepMs > untilMs) continue
    const last = out[out.length - 1]
    if (last && last[1] === at) last[1] = at + stepMs
    else out.push([at, at + stepMs])
  }
  return out
}

const PALETTE = ['#1f4e79', '#8a95a5', '#b07d2b', '#5b8a72', '#7d6a9e', '#a8574c', '#4a8fa8', '#9a9440', '#6f7fb0', '#a9738f', '#5f6b7a', '#c08a5a', '#3f7a5f', '#8f6fae']

export function loadOption(lines: LoadLine[], stepMs: number, untilMs: number): ChartOption {
  const c = colours()
  const axis = axisLook()
  const unknown = lines[0] ? holes(lines[0].series.points, stepMs, untilMs) : []
  return {
    ...baseOption(),
    grid: { left: 52, right: 14, top: lines.length > 1 ? 40 : 14, bottom: 28 },
    legend: lines.length > 1 ? { type: 'plain', top: 0, left: 44, right: 10, icon: 'rect', itemWidth: 14, itemHeight: 4, textStyle: { color: c.text2, fontSize: 13, fontFamily: c.font } } : undefined,
    tooltip: {
      ...(baseOption().tooltip as object),
      formatter: (params: unknown) => {
        const all = params as { axisValue: number; seriesName: string; value: [number, number | null] }[]
        return [`<b>${hm(all[0]?.axisValue ?? null)}</b>`, ...all.slice(0, 16).map((one) => `${one.seriesName}: ${kw(one.value[1] === null ? null : one.value[1] * 1000, 1)} kW`)].join('<br>')
      },
    },
    xAxis: { type: 'time', ...axis, axisLabel: { ...axis.axisLabel, formatter: (at: number) => hm(at), hideOverlap: true }, splitLine: { show: false } },
    yAxis: { type: 'value', ...axis, axisLine: { show: false } },
    series: lines.map((line, at) => ({
      type: 'line',
      name: line.name,
      step: 'end' as const,
      showSymbol: false,
      connectNulls: false,
      lineStyle: { width: line.main ? 2 : 1.2, color: PALETTE[at % PALETTE.length] },
      itemStyle: { color: PALETTE[at % PALETTE.length] },
      areaStyle: at === 0 && line.main ? { color: c.fill, opacity: 0.7 } : undefined,
      data: line.series.points.map((point) => [(msOf(point.at) ?? 0) + stepMs, point.w_mean === null ? null : point.w_mean / 1000]),
      markArea: at === 0 && unknown.length ? { silent: true, itemStyle: { color: hatch() as never }, data: unknown.map(([from, to]) => [{ xAxis: from }, { xAxis: to }]) as never } : undefined,
    })),
  }
}

export function monthsOption(months: EnergyMonth[]): ChartOption {
  const c = colours()
  const axis = axisLook()
  return {
    ...baseOption(),
    tooltip: { show: false },
    grid: { left: 64, right: 14, top: 24, bottom: 28 },
    xAxis: { type: 'category', data: months.map((one) => one.month.slice(5)), ...axis },
    yAxis: { type: 'value', ...axis, axisLine: { show: false } },
    series: [{ type: 'bar', barMaxWidth: 46, itemStyle: { color: c.data }, label: { show: true, position: 'top', fontSize: 12, color: c.text2, formatter: (p) => kwh(months[p.dataIndex]?.wh) }, data: months.map((one) => (one.wh === null ? null : one.wh / 1000)) }],
  }
}
