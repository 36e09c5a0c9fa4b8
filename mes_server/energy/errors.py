"""What can go wrong with energy questions, in words."""

from mes_server.kit.errors import Refused


class TooManyBuckets(Refused):
    code = "too_many_buckets"
    en = "The load profile would have more than {points_max} points."
    zh = "负荷曲线将超过 {points_max} 个点。"
    next_en = "Choose longer buckets, a shorter window or fewer meters."
    next_zh = "请选择更长的间隔、更短的时段或更少的电表。"
