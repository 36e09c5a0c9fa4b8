"""What pydantic finds in a config, in words: its error types in English and Chinese. Kinds of source add their own in Chinese (`Kind.zh`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ID_FORM = r"^[A-Za-z0-9._-]{1,64}$"

# Error type -> (English, Chinese); {placeholders} are those of the error's context.
WORDS: dict[str, tuple[str, str]] = {
    "missing": ("this is missing", "缺少此项"),
    "extra_forbidden": ("there is no such key", "没有这个配置项"),
    "string_type": ("this must be a text in quotes", "应为文本(加引号)"),
    "string_too_short": ("this must have {min_length} or more characters", "至少 {min_length} 个字符"),
    "string_too_long": ("this must have {max_length} characters at most", "最多 {max_length} 个字符"),
    "string_pattern_mismatch": ("this has the wrong form (it must fit {pattern})", "格式不符(应匹配 {pattern})"),
    "path_type": ("this must be the path of a file, in quotes", "应为文件路径(加引号)"),
    "int_type": ("this must be a whole number", "应为整数"),
    "int_parsing": ("this must be a whole number", "应为整数"),
    "int_from_float": ("this must be a whole number", "应为整数"),
    "float_type": ("this must be a number", "应为数字"),
    "float_parsing": ("this must be a number", "应为数字"),
    "finite_number": ("this must be a finite number", "应为有限的数字"),
    "bool_type": ("this must be true or false", "应为 true 或 false"),
    "bool_parsing": ("this must be true or false", "应为 true 或 false"),
    "greater_than": ("this must be greater than {gt}", "应大于 {gt}"),
    "greater_than_equal": ("this must be {ge} or more", "不得小于 {ge}"),
    "less_than": ("this must be less than {lt}", "应小于 {lt}"),
    "less_than_equal": ("this must be {le} or less", "不得大于 {le}"),
    "too_short": ("this must have {min_length} or more entries", "至少需要 {min_length} 项"),
    "too_long": ("this must have {max_length} entries at most", "最多 {max_length} 项"),
    "literal_error": ("this must be one of {expected}", "应为以下之一:{expected}"),
    "enum": ("this must be one of {expected}", "应为以下之一:{expected}"),
    "list_type": ("this must be a list, as [ a, b ]", "应为列表,如 [ a, b ]"),
    "tuple_type": ("this must be a list, as [ a, b ]", "应为列表,如 [ a, b ]"),
    "dict_type": ("this must be a table, as { key = value } or under a [header]", "应为一张表,如 { 项 = 值 } 或写在 [表头] 之下"),
    "model_type": ("this must be a table, as { key = value }", "应为一张表,如 { 项 = 值 }"),
    "date_type": ("this must be a date, as 2026-03-02", "应为日期,如 2026-03-02"),
    "datetime_type": ("this must be a time, as 2026-03-02T06:00:00+08:00", "应为时间,如 2026-03-02T06:00:00+08:00"),
    "state_map": ("", "states 为 {value},应为 packml、opc40001、mtconnect 或一张表"),
    "metric_name": ("", "名称 {name}:只能用小写字母、数字和 _,单位在最后"),
    "device_twice": ("", "设备 {device} 同时在数据源 {a} 与 {b} 之下"),
}
_ID = ("letters, digits, . _ - only, 64 at most", "格式不符(字母、数字、. _ -,最多 64 个)")


def said(detail: Mapping[str, Any], more_zh: Mapping[str, str] | None = None) -> tuple[str, str]:
    """(English, Chinese) of one of `ValidationError.errors()`. `more_zh`: a kind's own error types in Chinese; it words the English itself."""
    kind, context = str(detail["type"]), detail.get("ctx") or {}
    if kind == "string_pattern_mismatch" and context.get("pattern") == ID_FORM:
        return _ID
    en, zh = WORDS.get(kind, ("", ""))
    zh = (more_zh or {}).get(kind) or zh
    return (_filled(en, context) if en else str(detail["msg"])), (_filled(zh, context) if zh else str(detail["msg"]))


def _filled(words: str, context: Mapping[str, Any]) -> str:
    for name, value in context.items():  # not str.format: the words hold braces of TOML
        words = words.replace(f"{{{name}}}", str(value))
    return words
