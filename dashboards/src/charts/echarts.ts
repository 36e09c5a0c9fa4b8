/** The parts of ECharts that are used, and the one look of all charts. Loaded only by pages that draw one. */
import { BarChart, LineChart } from 'echarts/charts'
import { AxisPointerComponent, DataZoomInsideComponent, GridComponent, LegendComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent } from 'echarts/components'
import { init, use, type ComposeOption } from 'echarts/core'
import type { BarSeriesOption, LineSeriesOption } from 'echarts/charts'
import type { GridComponentOption, LegendComponentOption, TooltipComponentOption } from 'echarts/components'
import { CanvasRenderer } from 'echarts/renderers'

use([BarChart, LineChart, AxisPointerComponent, DataZoomInsideComponent, GridComponent, LegendComponent, MarkAreaComponent, MarkLineComponent, TooltipComponent, CanvasRenderer])

export type ChartOption = ComposeOption<BarSeriesOption | LineSeriesOption | GridComponentOption | LegendComponentOption | TooltipComponentOption>
export { init }

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

export const colours = () => ({
  text: css('--text'),
  text2: css('--text-2'),
  line: css('--line'),
  soft: css('--line-soft'),
  data: css('--data'),
  data2: css('--data-2'),
  fill: css('--data-fill'),
  stop: css('--stop'),
  wait: css('--wait'),
  run: css('--run'),
  setup: css('--setup'),
  idle: css('--idle'),
  card: css('--card'),
  font: css('--font'),
})

/** Text, axes and tooltip shared by all charts. */
export function baseOption(): ChartOption {
  const c = colours()
  return {
    animation: false,
    textStyle: { fontFamily: c.font, color: c.text, fontSize: 13 },
    tooltip: { trigger: 'axis', backgroundColor: c.card, borderColor: c.line, textStyle: { color: c.text, fontSize: 13, fontFamily: c.font }, confine: true },
  }
}

export function axisLook() {
  const c = colours()
  return { axisLine: { lineStyle: { color: c.line } }, axisTick: { show: false }, axisLabel: { color: c.text2, fontSize: 13, fontFamily: c.font }, splitLine: { lineStyle: { color: c.soft } }, nameTextStyle: { color: c.text2, fontSize: 13 } }
}

/** Hatching for "nothing known", as a canvas pattern. */
export function hatch(): { image: HTMLCanvasElement; repeat: 'repeat' } {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = 8
  const draw = canvas.getContext('2d')
  if (draw) {
    draw.fillStyle = '#f4f5f8'
    draw.fillRect(0, 0, 8, 8)
    draw.strokeStyle = '#d0d6df'
    draw.lineWidth = 3
    for (const shift of [-8, 0, 8]) {
      draw.beginPath()
      draw.moveTo(shift - 2, 10)
      draw.lineTo(shift + 10, -2)
      draw.stroke()
    }
  }
  return { image: canvas, repeat: 'repeat' }
}
