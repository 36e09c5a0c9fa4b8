"""What can be wrong with a question about genealogy."""

from __future__ import annotations

from mes_server.kit.errors import NotFound


class NoTrace(NotFound):
    code = "no_trace"
    en = "Nothing is recorded about {code_traced}."
    zh = "没有 {code_traced} 的追溯记录。"
    next_en = "Check the code, or scan it again."
    next_zh = "请核对编号或重新扫描。"
