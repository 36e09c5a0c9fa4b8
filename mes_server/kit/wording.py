"""What is wrong with a request or a setting, in words a person can act on, in Chinese and English. The one place that knows pydantic's error types.

A check of our own that people read raises `worded(...)` with both languages; everything else is found in the table by its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from mes_server.kit.errors import Lang

_PLACES = frozenset({"body", "query", "path", "header", "cookie"})  # where FastAPI found it: no news to a person

# Error type of pydantic -> (zh, en); {placeholders} are those of the error's context.
WORDS: dict[str, tuple[str, str]] = {
    "missing": ("缺少此项", "is missing"),
    "extra_forbidden": ("没有此项", "is not known here"),
    "none_required": ("应为空", "must be empty"),
    "string_type": ("应为文本", "must be a text"),
    "string_sub_type": ("应为文本", "must be a text"),
    "string_unicode": ("含有无法识别的字符", "holds signs that are no text"),
    "string_too_short": ("至少 {min_length} 个字符", "must have {min_length} or more characters"),
    "string_too_long": ("最多 {max_length} 个字符", "must have {max_length} characters at most"),
    "string_pattern_mismatch": ("格式不符（应匹配 {pattern}）", "has the wrong form (it must fit {pattern})"),
    "int_type": ("应为整数", "must be a whole number"),
    "int_parsing": ("应为整数", "must be a whole number"),
    "int_parsing_size": ("数值过大", "is too large a number"),
    "int_from_float": ("应为整数，不带小数", "must be a whole number, without decimals"),
    "float_type": ("应为数字", "must be a number"),
    "float_parsing": ("应为数字", "must be a number"),
    "finite_number": ("应为有限的数字", "must be a finite number"),
    "bool_type": ("应为 true 或 false", "must be true or false"),
    "bool_parsing": ("应为 true 或 false", "must be true or false"),
    "greater_than": ("应大于 {gt}", "must be greater than {gt}"),
    "greater_than_equal": ("不得小于 {ge}", "must be {ge} or more"),
    "less_than": ("应小于 {lt}", "must be less than {lt}"),
    "less_than_equal": ("不得大于 {le}", "must be {le} or less"),
    "multiple_of": ("应为 {multiple_of} 的倍数", "must be a multiple of {multiple_of}"),
    "too_short": ("至少需要 {min_length} 项", "must have {min_length} or more entries"),
    "too_long": ("最多 {max_length} 项", "must have {max_length} entries at most"),
    "literal_error": ("应为以下之一：{expected}", "must be one of: {expected}"),
    "enum": ("应为以下之一：{expected}", "must be one of: {expected}"),
    "list_type": ("应为列表", "must be a list"),
    "tuple_type": ("应为列表", "must be a list"),
    "set_type": ("应为列表", "must be a list"),
    "dict_type": ("应为一组键值", "must be a table of keys and values"),
    "model_type": ("应为一组键值", "must be a table of keys and values"),
    "model_attributes_type": ("应为一组键值", "must be a table of keys and values"),
    "path_type": ("应为文件路径", "must be the path of a file"),
    "uuid_type": ("应为 UUID", "must be a UUID"),
    "uuid_parsing": ("应为 UUID", "must be a UUID"),
    "datetime_type": ("应为 ISO 8601 时间，如 2026-03-02T06:00:00+08:00", "must be an ISO 8601 time, as 2026-03-02T06:00:00+08:00"),
    "timezone_aware": ("时间须带时区，如 2026-03-02T06:00:00+08:00", "must say its offset, as 2026-03-02T06:00:00+08:00"),
    "date_type": ("应为日期，如 2026-03-02", "must be a date, as 2026-03-02"),
    "json_invalid": ("不是有效的 JSON", "is not JSON"),
    "union_tag_not_found": ("缺少 {discriminator}", "does not say its {discriminator}"),
    "union_tag_invalid": ("没有“{tag}”这一种", "is of a kind that is not known: {tag}"),
}
# Several of pydantic's types are one to a person.
_SAME = {
    "datetime_parsing": "datetime_type",
    "datetime_from_date_parsing": "datetime_type",
    "datetime_object_invalid": "datetime_type",
    "date_parsing": "date_type",
    "date_from_datetime_parsing": "date_type",
    "date_from_datetime_inexact": "date_type",
    "json_type": "json_invalid",
}
_OTHERWISE = ("无法识别", "cannot be read")


def worded(zh: str, en: str) -> PydanticCustomError:
    """The error a validator of ours raises, where a person reads it."""
    return PydanticCustomError("worded", "{en}", {"zh": zh, "en": en})


def said(detail: Mapping[str, Any], lang: Lang) -> str:
    """One of `ValidationError.errors()` in words, without the name of its field."""
    context = detail.get("ctx") or {}
    if detail["type"] == "worded":
        return str(context[lang])
    words = WORDS.get(_SAME.get(detail["type"], detail["type"]), _OTHERWISE)
    return words[0 if lang == "zh" else 1].format_map(_Named(context))


def listed(details: Iterable[Mapping[str, Any]], lang: Lang, *, most: int = 20) -> str:
    """`field: words; field: words`, the first `most` of them, for both JSON bodies and queries."""
    found: list[str] = []
    for detail in details:
        if len(found) == most:
            break
        name = field_of(detail["loc"])
        found.append(f"{name}{'：' if lang == 'zh' else ': '}{said(detail, lang)}" if name else said(detail, lang))
    return ("；" if lang == "zh" else "; ").join(found)


def field_of(place: Sequence[int | str]) -> str:
    """`("body", "acts", 0, "quantity")` → `acts.0.quantity`; the whole body has no name, a broken one neither (its place is an offset)."""
    parts = place[1:] if place and place[0] in _PLACES else place
    return "" if len(parts) == 1 and isinstance(parts[0], int) else ".".join(str(part) for part in parts)


class _Named(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"
