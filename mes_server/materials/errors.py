"""What can be wrong with material, in the plant's words."""

from __future__ import annotations

from mes_server.kit.errors import Conflict, NotFound, Refused
from mes_server.work_orders.errors import AlreadyReversed, NeedsConfirmation, NotYours


class LotUnknown(NotFound):
    code = "lot_unknown"
    en = "Lot {lot} is not known here."
    zh = "系统中没有批次 {lot}。"
    next_en = "Scan again, or register the lot."
    next_zh = "请重新扫描，或登记该批次。"


class SerialUnknown(NotFound):
    code = "serial_unknown"
    en = "Serial {serial} is not known here."
    zh = "系统中没有序列号 {serial}。"
    next_en = "Scan again, or ask your supervisor."
    next_zh = "请重新扫描，或联系班组长。"


class LotExists(Conflict):
    code = "lot_exists"
    en = "Lot {lot} is already there: {item}, {quantity} received."
    zh = "批次 {lot} 已存在：{item}，已收 {quantity}。"
    next_en = "Use the lot as it is, or another lot code."
    next_zh = "直接使用该批次，或换一个批次号。"


class SerialExists(Conflict):
    code = "serial_exists"
    en = "Serial {serial} was already produced on {operation} at {since}."
    zh = "序列号 {serial} 已于 {since} 在 {operation} 产出。"
    next_en = "Scan the serial of the next piece."
    next_zh = "请扫描下一件的序列号。"


class LotHeld(Conflict):
    code = "lot_held"
    en = "Lot {lot} is on hold since {since}."
    zh = "批次 {lot} 自 {since} 起被冻结。"
    next_en = "Take another lot, or ask quality to release it."
    next_zh = "请换用其他批次，或请质量人员解冻。"


class SerialHeld(Conflict):
    code = "serial_held"
    en = "Serial {serial} is on hold since {since}."
    zh = "序列号 {serial} 自 {since} 起被冻结。"
    next_en = "Put it aside and ask quality."
    next_zh = "请单独放置并联系质量人员。"


class LotNotReleased(Conflict):
    code = "lot_not_released"
    en = "Lot {lot} waits for incoming inspection (quarantine)."
    zh = "批次 {lot} 待检，尚未放行。"
    next_en = "Take another lot, or ask quality to release it."
    next_zh = "请换用其他批次，或请质量人员放行。"


class LotExpired(Refused):
    code = "lot_expired"
    en = "Lot {lot} expired at {since}."
    zh = "批次 {lot} 已于 {since} 过期。"
    next_en = "Take another lot and put this one aside."
    next_zh = "请换用其他批次，并将此批次隔离。"


class LotUsedUp(Conflict):
    code = "lot_used_up"
    en = "Lot {lot} is used up."
    zh = "批次 {lot} 已用完。"
    next_en = "Scan the lot that is on the machine now; if it is this one, tell your supervisor."
    next_zh = "请扫描现在上机的批次；若确为此批，请告知班组长。"


class WrongItem(Refused):
    code = "wrong_item"
    en = "Lot {lot} is {item}; operation {operation} needs {needed}."
    zh = "批次 {lot} 是 {item}，工序 {operation} 需要 {needed}。"
    next_en = "Take the right material."
    next_zh = "请换用正确的物料。"


class NotAQuantity(Refused):
    code = "not_a_quantity"
    en = "“{value}” is not a quantity: more than 0, at most 999,999, three decimals at most."
    zh = "“{value}”不是有效数量：应大于 0、不超过 999999、最多三位小数。"
    next_en = "Enter the quantity again. A scanned barcode never belongs here."
    next_zh = "请重新输入数量，条码不能当作数量。"


class NotWhole(Refused):
    code = "not_whole"
    en = "{item} is counted in pieces; {value} is not whole."
    zh = "{item} 按件计，{value} 不是整数。"
    next_en = "Enter whole pieces."
    next_zh = "请输入整数件。"


class MoreThanLot(NeedsConfirmation):
    en = "{value} {unit}? Lot {lot} has {remaining} {unit} left."
    zh = "{value} {unit}？批次 {lot} 只剩 {remaining} {unit}。"
    next_en = "Change it, or confirm {value} {unit}."
    next_zh = "请更改，或确认 {value} {unit}。"


class MoreThanNeeded(NeedsConfirmation):
    en = "{value} {unit}? Order {order} needs {remaining} {unit} of {item} more."
    zh = "{value} {unit}？工单 {order} 还需 {item} {remaining} {unit}。"
    next_en = "Change it, or confirm {value} {unit}."
    next_zh = "请更改，或确认 {value} {unit}。"


class MoreThanOrdered(NeedsConfirmation):
    en = "{made} of {quantity} are already produced for order {order}."
    zh = "工单 {order} 已产出 {made} 件（共 {quantity} 件）。"
    next_en = "Check the order, or confirm one more."
    next_zh = "请核对工单，或确认再产出。"


class SerialNeeded(Refused):
    code = "serial_needed"
    en = "{item} is made with serial numbers."
    zh = "{item} 按序列号管理。"
    next_en = "Scan the serial label of the piece."
    next_zh = "请扫描该件的序列号标签。"


class SerialOrLot(Refused):
    code = "serial_or_lot"
    en = "Name either one serial (quantity 1) or one lot."
    zh = "请指定一个序列号（数量 1）或一个批次。"
    next_en = "Scan the label of the piece or of the lot."
    next_zh = "请扫描该件或该批次的标签。"


class MovementUnknown(NotFound):
    code = "movement_unknown"
    en = "The entry to take back is not known here."
    zh = "找不到要撤销的记录。"
    next_en = "Look at “Last acts” and choose the entry there."
    next_zh = "请在“最近操作”中选择该记录。"


class MovementReversed(AlreadyReversed):
    en = "This entry was already taken back."
    zh = "该记录已撤销。"
    next_en = "Nothing more to do."
    next_zh = "无需再操作。"


class ReverseNotYours(NotYours):
    en = "This entry was made by {person}."
    zh = "该记录由 {person} 录入。"
    next_en = "Only they (for ten seconds) or a supervisor can take it back."
    next_zh = "只能由本人（10 秒内）或班组长撤销。"
