import { words } from '@gemba/web_kit/i18n'

export const t = words({
  plan: ['计划 {n}', 'plan {n}'],
  target: ['目标 {n}', 'target {n}'],
  unknown: ['无数据', 'No data'],
  stoppedAt: ['停在 {at}', 'since {at}'],
  staleAll: ['数据停在 {at}，正在重新连接', 'Data from {at}, reconnecting'],
  noOrder: ['无工单', 'no order'],
  unexplained: ['未说明', 'not explained'],
  enrol: ['此大屏还没有登记。在“人员 → 终端”生成大屏登记码，用它打开本页；或先登录。', 'This wall is not enrolled. Make a wall code under People → Devices and open this page with it; or sign in first.'],
  signIn: ['登录', 'Sign in'],
  connecting: ['连接中…', 'Connecting…'],
  partly: ['部分电表无数据', 'some meters without data'],
  known: ['已知 {n}', 'known {n}'],
})
