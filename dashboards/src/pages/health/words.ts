import { lang, say, words, type Pair } from '@gemba/web_kit/i18n'

export const t = words({
  title: ['系统状态', 'System health'],
  server: ['服务器', 'Server'],
  version: ['版本', 'Version'],
  up: ['已运行', 'Up for'],
  db: ['数据库', 'Database'],
  telemetry: ['时序库', 'Telemetry'],
  broker: ['消息代理', 'Broker'],
  connected: ['已连接', 'connected'],
  notConnected: ['未连接', 'not connected'],
  restarts: ['已自动重启 {n} 次', 'started again {n} times'],
  faultSince: ['已 {span}', 'for {span}'],
  acts: ['排队的操作', 'Acts waiting'],
  tablets: ['平板上未到的记录', 'Records still on tablets'],
  onTablet: ['{device}：{n} 条，{ago}前上报', '{device}: {n}, said {ago} ago'],
  journal: ['日志', 'Journal'],
  records: ['{n} 条记录，已封存 {sealed}', '{n} records, {sealed} sealed'],
  badSeq: ['第 {n} 条被改动！', 'record {n} was altered!'],
  quarantine: ['隔离的数据', 'Put aside'],
  putAside: ['{n} 条无法读取或入账，最近原因：{reason}', '{n} records could not be read or booked; the newest because: {reason}'],
  verify: ['校验日志', 'Verify the journal'],
  verifying: ['校验中…', 'Verifying…'],
  intact: ['✓ 完整：{n} 条', '✓ intact: {n} records'],
  edge: ['采集器', 'Edge'],
  online: ['在线', 'online'],
  offline: ['离线', 'offline'],
  since: ['{at} 起', 'since {at}'],
  buffer: ['缓存', 'Buffer'],
  waiting: ['待入库 {n} 条', '{n} records waiting'],
  waitingAtLeast: ['至少 {n} 条待入库', 'at least {n} records waiting'],
  fill: ['缓存占用', 'Buffer filled'],
  hoursLeft: ['服务器不在时还可存 {span}', 'room for {span} without the server'],
  overYear: ['一年以上', 'over a year'],
  lag: ['滞后', 'Lag'],
  storedTo: ['已入库至', 'Stored up to'],
  epoch: ['缓存代号', 'Epoch'],
  gaps: ['今日缺口', 'Gaps today'],
  sources: ['数据源', 'Sources'],
  source: ['数据源', 'Source'],
  rate: ['值/秒', 'Values/s'],
  rateHow: ['值/秒：从数据源读到的值，近 1 分钟平均（变化很少时取更长时间）', 'values/s: read from the source, mean of the last minute (longer for what comes rarely)'],
  clockOff: ['时钟偏差', 'Clock offset'],
  lastError: ['最近错误', 'Last error'],
  unmapped: ['未对应设备：{list}。请在工厂模型中登记。', 'Not mapped: {list}. Register them in the plant model.'],
  devices: ['{n} 台设备', '{n} devices'],
  nextOffline: ['采集器没有应答。检查其电源与网络；数据在其缓存中等待，不会丢失。', 'The edge does not answer. Check its power and network; its data wait in its buffer, nothing is lost.'],
  fenced: ['另一台网关（{instance}）也在使用此编号，最近一次 {at}，共 {n} 次；其数据未被接受。若为复制品，请为其设置独立编号；若要替换，请关闭原设备。', 'Another box ({instance}) uses this id too, last {at}, {n} times; its data are not taken. Give a copy an id of its own; to replace this box, switch the old one off.'],
  nextSource: ['采集器在自动重试。检查设备电源、网线和地址。', 'The edge keeps trying. Check the device’s power, cable and address.'],
  nextBroker: ['服务器未连接消息代理，暂时收不到任何采集器；数据在其缓存中等待，不会丢失。', 'The server is not connected to the broker and hears no edge; their data wait in their buffers, nothing is lost.'],
  silent: ['已 {span} 没有消息：下面的状态是最后一次上报的，数值未知。', 'Silent for {span}: states below are as last said, figures are unknown.'],
  neverHeard: ['服务器启动以来没有收到它的消息。', 'Nothing heard of it since the server started.'],
  lastSaid: ['未知（最后上报：{state}）', 'unknown (last said: {state})'],
  runsFor: ['采集程序已运行', 'Agent up for'],
  noOffset: ['未见偏差', 'none seen'],
  ownClock: ['采集器时钟', 'Edge clock'],
  ownClockOff: ['{word}，偏差 {ms} ms', '{word}, off by {ms} ms'],
  nextClock: ['控制器时钟偏差超过 2 秒，请校时。', 'The controller’s clock is off by more than 2 s; set it.'],
  noEdges: ['还没有采集器报到。', 'No edge has reported yet.'],
  ok: ['正常', 'ok'],
})

/** Every word an edge of ours says of itself; a test holds this table against the edge's own. Another maker's word is shown as it came. */
const STATES: Record<string, Record<string, Pair>> = {
  source: {
    connecting: ['连接中', 'connecting'],
    connected: ['已连接', 'connected'],
    lost: ['已断开', 'lost'],
    misconfigured: ['配置错误', 'misconfigured'],
  },
  buffer: {
    ok: ['正常', 'ok'],
    high: ['超过 80 %', 'over 80 %'],
    critical: ['超过 95 %', 'over 95 %'],
    thinning: ['采样被抽稀', 'samples are thinned'],
    full: ['已满，停止读取', 'full, reading has stopped'],
  },
  clock: {
    ok: ['正常', 'ok'],
    suspect: ['可疑', 'in doubt'],
    held: ['有误，已改用服务器时间', 'wrong, the server’s time is used'],
  },
}
export function edgeWord(what: 'source' | 'buffer' | 'clock', state: string): string {
  const known = STATES[what]?.[state]
  return known ? say(known) : state
}

/** The edge says its words in English on the first line and in Chinese on the second. */
export function inLanguage(text: string | null): string {
  const lines = (text ?? '').split('\n')
  return (lang.value === 'zh' ? lines[1] : undefined) ?? lines[0] ?? ''
}
