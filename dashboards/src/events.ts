/** Types of journal records in a person's words. */
import { words, type Pair } from '@gemba/web_kit/i18n'

const TYPES = {
  'operation.started': ['工序开工', 'Operation started'],
  'operation.interrupted': ['工序中断', 'Operation interrupted'],
  'operation.completed': ['工序完成', 'Operation completed'],
  'production.reported': ['报工', 'Report'],
  'production.counted': ['设备计数', 'Machine count'],
  'production.undone': ['撤销报工', 'Report undone'],
  'production.corrected': ['更正报工', 'Report corrected'],
  'stop.explained': ['说明停机原因', 'Stop explained'],
  'stop.split': ['拆分停机', 'Stop split'],
  'material.received': ['收料', 'Material received'],
  'material.consumed': ['投料', 'Material consumed'],
  'material.produced': ['产出', 'Produced'],
  'material.reversed': ['物料冲回', 'Material reversed'],
  'defect.logged': ['记录缺陷', 'Defect logged'],
  'hold.placed': ['冻结', 'Hold placed'],
  'hold.released': ['解冻', 'Hold released'],
  'help.called': ['呼叫', 'Help called'],
  'help.answered': ['应答呼叫', 'Help answered'],
  'order.created': ['工单建立', 'Order created'],
  'order.released': ['工单下达', 'Order released'],
  'order.held': ['工单暂停', 'Order held'],
  'order.resumed': ['工单恢复', 'Order resumed'],
  'order.completed': ['工单完工', 'Order completed'],
  'order.closed': ['工单关闭', 'Order closed'],
  'order.cancelled': ['工单取消', 'Order cancelled'],
  'order.changed': ['工单变更', 'Order changed'],
  'erp.change_decided': ['ERP 变更已决定', 'ERP change decided'],
} as const satisfies Record<string, Pair>

const say = words(TYPES)

/** An unknown type of a newer server is shown as it is. */
export const eventName = (type: string): string => (type in TYPES ? say(type as keyof typeof TYPES) : type)
