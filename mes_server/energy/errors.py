"""What can go wrong with energy questions, in words."""

from mes_server.kit.errors import Conflict, Refused


class TooManyBuckets(Refused):
    code = "too_many_buckets"
    en = "The load profile would have more than {points_max} points."
    zh = "负荷曲线将超过 {points_max} 个点。"
    next_en = "Choose longer buckets, a shorter window or fewer meters."
    next_zh = "请选择更长的间隔、更短的时段或更少的电表。"


class SwapInTheFuture(Refused):
    code = "meter_swap_in_the_future"
    en = "The meter cannot have been exchanged in the future."
    zh = "换表时间不能晚于现在。"
    next_en = "Give the moment at which the new meter was connected."
    next_zh = "请填写新表接入的时刻。"


class SwapKnown(Conflict):
    code = "meter_swap_known"
    en = "Meter {meter}: an exchange at this moment or later has been told already."
    zh = "电表 {meter}：此时刻或之后的换表已登记。"
    next_en = "Look at the list of exchanges; tell exchanges in their order."
    next_zh = "请查看换表记录，并按先后顺序登记。"


class EndReadingTooLow(Refused):
    code = "meter_swap_end_too_low"
    en = "The old meter showed {seen_wh:.0f} Wh before; its end reading cannot be {given_wh:.0f} Wh."
    zh = "旧表此前已读到 {seen_wh:.0f} Wh，终止读数不能为 {given_wh:.0f} Wh。"
    next_en = "Check the reading, its unit (Wh, not kWh) and the transformer ratio."
    next_zh = "请核对读数、单位（Wh 而非 kWh）与互感器变比。"


class HalfARegister(Refused):
    code = "meter_swap_half_a_register"
    en = "A register needs both readings, of the old and of the new meter."
    zh = "每个电量都需要旧表与新表两个读数。"
    next_en = "Give both, or neither."
    next_zh = "请同时填写，或都不填。"
