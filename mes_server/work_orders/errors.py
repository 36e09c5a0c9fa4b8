"""What can be wrong with an order act, in the plant's words."""

from __future__ import annotations

from mes_server.kit.errors import Conflict, Lang, NotFound, Refused


class OrderUnknown(NotFound):
    code = "order_unknown"
    en = "Order {order} is not known here."
    zh = "系统中没有工单 {order}。"
    next_en = "Scan the traveller again, or ask the planner whether the order has been sent."
    next_zh = "请重新扫描流转卡，或询问计划员是否已下发。"


class OperationUnknown(NotFound):
    code = "operation_unknown"
    en = "Operation {operation} is not known here."
    zh = "系统中没有工序 {operation}。"
    next_en = "Scan the traveller again, or ask the planner whether the order has been sent."
    next_zh = "请重新扫描流转卡，或询问计划员是否已下发。"


class EventUnknown(NotFound):
    code = "event_unknown"
    en = "The entry to take back is not known here."
    zh = "找不到要撤销的记录。"
    next_en = "Look at “Last acts” and choose the entry there."
    next_zh = "请在“最近操作”中选择该记录。"


class OrderExists(Conflict):
    code = "order_exists"
    en = "Order {order} is already there."
    zh = "工单 {order} 已存在。"
    next_en = "Use another number, or change the order that is there."
    next_zh = "请换一个编号，或修改已有工单。"


ORDER_WORDS: dict[str, tuple[str, str]] = {
    "draft": ("a draft", "草稿"),
    "released": ("released", "已下达"),
    "in_progress": ("in progress", "生产中"),
    "on_hold": ("on hold", "已暂停"),
    "completed": ("completed", "已完工"),
    "closed": ("closed", "已关闭"),
    "cancelled": ("cancelled", "已取消"),
}


class _OrderState(Conflict):
    """`status` and `wanted` are state codes; each language says them in its own words."""

    code = "order_state"
    en = "Order {order} is {status}."
    zh = "工单 {order}：{status}。"

    def say(self, lang: Lang) -> str:
        place = 1 if lang == "zh" else 0
        words = {name: ORDER_WORDS.get(str(value), (str(value),) * 2)[place] for name, value in self.params.items() if name in ("status", "wanted")}
        return (self.zh if lang == "zh" else self.en).format(**{**self.params, **words})


class OrderNotOpen(_OrderState):
    code = "order_not_open"
    en = "Order {order} is {status} since {since}."
    zh = "工单 {order} 自 {since} 起{status}。"
    next_en = "Nothing was booked. Ask your supervisor; parts already made are booked from the list “To decide”."
    next_zh = "未记账。请联系班组长；已做的件可在“待裁决”中补记。"


class OrderTransition(_OrderState):
    code = "order_transition"
    en = "Order {order} is {status}; it cannot become {wanted}."
    zh = "工单 {order} 当前{status}，不能变为{wanted}。"
    next_en = "Look at the order as it is now and decide again."
    next_zh = "请查看工单当前状态后再决定。"


class OperationCompleted(Conflict):
    code = "operation_completed"
    en = "Operation {operation} was completed at {since} by {person}."
    zh = "工序 {operation} 已由 {person} 于 {since} 完工。"
    next_en = "If more pieces were made, ask your supervisor to book them."
    next_zh = "若又做了件数，请班组长补记。"


class OperationHeld(Conflict):
    code = "operation_held"
    en = "Operation {operation} is on hold by quality."
    zh = "工序 {operation} 已被质量冻结。"
    next_en = "Ask quality; go on after the release."
    next_zh = "请联系质量人员，解冻后继续。"


class WrongMachine(Refused):
    code = "wrong_machine"
    en = "Operation {operation} belongs to {machines}, not to {machine}."
    zh = "工序 {operation} 应在 {machines} 加工，不是 {machine}。"
    next_en = "Take it to {machines}, or let a supervisor choose “Run here”."
    next_zh = "请到 {machines} 加工，或由班组长选择“在这里做”。"


class NotPieces(Refused):
    code = "not_pieces"
    en = "“{value}” is not a number of pieces: whole numbers from 0 to 999,999."
    zh = "“{value}”不是件数：只能是 0 到 999999 的整数。"
    next_en = "Enter the pieces again. A scanned barcode never belongs here."
    next_zh = "请重新输入件数，条码不能当作数量。"


class NothingReported(Refused):
    code = "nothing_reported"
    en = "No pieces were given."
    zh = "没有填写件数。"
    next_en = "Enter good, scrap or rework pieces."
    next_zh = "请输入合格、报废或返工件数。"


class FarTooMany(Refused):
    code = "far_too_many"
    en = "{value} pcs? The order is for {quantity}."
    zh = "{value} 件？工单只有 {quantity} 件。"
    next_en = "Enter the pieces again."
    next_zh = "请重新输入件数。"


class NeedsConfirmation(Refused):
    """Plausible only if the person says so: ask once, send again with `confirmed: true`."""

    code = "needs_confirmation"
    en = "{value} pcs? {remaining} left."
    zh = "{value} 件？还剩 {remaining} 件。"
    next_en = "Change it, or confirm {value} pcs."
    next_zh = "请更改，或确认 {value} 件。"


class TooFast(NeedsConfirmation):
    en = "{value} pcs? Since the last report about {possible} were possible."
    zh = "{value} 件？自上次报工约可完成 {possible} 件。"
    next_en = "Change it, or confirm {value} pcs."
    next_zh = "请更改，或确认 {value} 件。"


class MachineCounts(Refused):
    code = "machine_counts"
    en = "Operation {operation} is counted by the machine; good pieces are not reported by hand."
    zh = "工序 {operation} 由机器计数，合格件不用手工报工。"
    next_en = "Report only scrap or rework; they are moved out of the machine's count."
    next_zh = "只报报废或返工，会从机器计数中转出。"


class ReasonMissing(Refused):
    code = "reason_missing"
    en = "Scrap needs a reason."
    zh = "报废需要原因。"
    next_en = "Choose one of the reason tiles."
    next_zh = "请选择一个报废原因。"


class NotYours(Refused):
    code = "not_yours"
    en = "This entry was made by {person}."
    zh = "该记录由 {person} 录入。"
    next_en = "Only they or a supervisor can take it back."
    next_zh = "只能由本人或班组长撤销。"


class UndoTooLate(Refused):
    code = "undo_too_late"
    en = "An entry can be taken back for {seconds} s."
    zh = "录入后 {seconds} 秒内可以撤销。"
    next_en = "Use “Last acts” to correct it with a reason."
    next_zh = "请在“最近操作”中说明原因后更正。"


class CorrectTooLate(Refused):
    code = "correct_too_late"
    en = "Your own entries can be corrected within the shift ({hours} h)."
    zh = "本班（{hours} 小时）内可以更正自己的记录。"
    next_en = "Ask your supervisor to correct it."
    next_zh = "请班组长更正。"


class AlreadyReversed(Conflict):
    code = "already_reversed"
    en = "This entry was already taken back."
    zh = "该记录已撤销。"
    next_en = "Nothing more to do."
    next_zh = "无需再操作。"


class QuantityTooSmall(Refused):
    code = "quantity_too_small"
    en = "{made} pieces of order {order} are already made; the quantity cannot be {quantity}."
    zh = "工单 {order} 已完成 {made} 件，数量不能改为 {quantity}。"
    next_en = "Choose {made} or more; parts made are never lost."
    next_zh = "请选择不少于 {made} 件，已做的件不会丢失。"


class NoRouting(Refused):
    code = "no_routing"
    en = "Item {item} has no routing; the order has no operations."
    zh = "物料 {item} 没有工艺路线，工单没有工序。"
    next_en = "Complete the item first."
    next_zh = "请先维护该物料的工艺路线。"
