"""What can be wrong at the tablets' door."""

from __future__ import annotations

from mes_server.kit.errors import Conflict, NotFound
from mes_server.kit.http import BadRequestBody


class ActMalformed(BadRequestBody):
    en = "The entry is not complete or not readable: {fields}"
    zh = "内容不完整或无法识别：{fields}"
    next_en = "It is kept on the list “To decide”. Make the entry again."
    next_zh = "已放入“待裁决”。请重新录入。"


class RefusedUnknown(NotFound):
    code = "refused_unknown"
    en = "There is nothing to decide about entry {event}."
    zh = "没有待裁决的记录 {event}。"
    next_en = "Look at the list again; somebody may have decided it."
    next_zh = "请刷新列表，可能已有人处理。"


class AlreadyDecided(Conflict):
    code = "already_decided"
    en = "This entry was decided by {person}."
    zh = "该记录已由 {person} 裁决。"
    next_en = "Nothing more to do."
    next_zh = "无需再操作。"


class CallUnknown(NotFound):
    code = "call_unknown"
    en = "This call is not known here."
    zh = "找不到该呼叫。"
    next_en = "Look at the open calls."
    next_zh = "请查看未处理的呼叫。"
