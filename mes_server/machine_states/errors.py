"""What can go wrong with states and stops, in words."""

from mes_server.kit.errors import Refused


class UnknownReason(Refused):
    code = "unknown_stop_reason"
    en = "“{reason}” is not a stop reason of this plant."
    zh = "“{reason}”不是本厂的停机原因。"
    next_en = "Choose one of the shown reasons."
    next_zh = "请从显示的原因中选择。"


class SplitOutsideStop(Refused):
    code = "split_outside_stop"
    en = "The border does not lie after the start of the stop."
    zh = "分割点不在停机开始之后。"
    next_en = "Move the border into the stop."
    next_zh = "请把分割点移到停机时段内。"


class BadWindow(Refused):
    code = "bad_time_window"
    en = "The time window is empty or longer than {days_max} days."
    zh = "时间范围为空或超过 {days_max} 天。"
    next_en = "Choose an end after the start and a shorter window."
    next_zh = "请选择晚于开始的结束时间，并缩短范围。"
