"""The server's one error tree and how a person reads it.

    MesError                    code, HTTP status, words and next step in zh and en
    ├── Refused (422)           the act breaks a rule; slices subclass it
    ├── NotFound (404)
    ├── Conflict (409)          somebody else was first; the words say who or what
    ├── Forbidden (403)  NotSignedIn (401)
    ├── SameIdOtherBody (422)   an event id was used before for something else
    └── Overloaded (503)        a bound was reached; try again

A subclass states `code`, `en`, `zh`, `next_en`, `next_zh` with {placeholders} for its keyword arguments. tests/repo checks that every
subclass has all of them and that both languages use the same placeholders.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Lang = Literal["zh", "en"]


def wanted_lang(x_lang: str | None, accept_language: str | None) -> Lang | None:
    """The language a request asks for: `X-Lang`, else the best of Accept-Language (RFC 9110) that is spoken here; None where neither names one."""
    ranked: list[tuple[float, Lang]] = []
    for place, part in enumerate([x_lang or "", *(accept_language or "").split(",")]):
        tag, _, quality = part.strip().lower().partition(";")
        try:
            rank = float(quality.strip().removeprefix("q=")) if quality else 1.0
        except ValueError:
            rank = 0.0
        language = tag.split("-")[0]
        if rank > 0 and language in ("zh", "en"):
            ranked.append((rank + (10 if place == 0 else 0), "zh" if language == "zh" else "en"))
    return max(ranked, key=lambda one: one[0])[1] if ranked else None


class MesError(Exception):
    """Base of every expected failure. `params` are shown in the words and returned to the client."""

    code: ClassVar[str]
    status: ClassVar[int] = 422
    en: ClassVar[str]
    zh: ClassVar[str]
    next_en: ClassVar[str]
    next_zh: ClassVar[str]

    def __init__(self, **params: object) -> None:
        self.params = params
        super().__init__(self.say("en"))

    def say(self, lang: Lang) -> str:
        return (self.zh if lang == "zh" else self.en).format(**self.params)

    def next_step(self, lang: Lang) -> str:
        return (self.next_zh if lang == "zh" else self.next_en).format(**self.params)

    def problem(self, lang: Lang) -> dict[str, object]:
        """RFC 9457 body (application/problem+json)."""
        return {
            "type": f"urn:gemba:error:{self.code}",
            "title": self.say(lang),
            "status": self.status,
            "code": self.code,
            "next_step": self.next_step(lang),
            "params": {key: value if isinstance(value, int | float | bool | None) else str(value) for key, value in self.params.items()},
        }


class Refused(MesError):
    """Base for acts that break a rule of the plant."""

    code = "refused"
    en = "This cannot be done."
    zh = "无法执行此操作。"
    next_en = "Check the entry and try again."
    next_zh = "请检查后重试。"


class NotFound(MesError):
    """Nothing has this code."""

    code = "not_found"
    status = 404
    en = "{what} {key} is not known here."
    zh = "系统中没有{what} {key}。"
    next_en = "Scan again, or ask your supervisor to register it."
    next_zh = "请重新扫描，或请班组长登记。"


class Conflict(MesError):
    """Base for lost races and states that forbid the act."""

    code = "conflict"
    status = 409
    en = "Somebody else was first."
    zh = "已被他人处理。"
    next_en = "Look at the current state and decide again."
    next_zh = "请查看当前状态后再决定。"


class NotSignedIn(MesError):
    code = "not_signed_in"
    status = 401
    en = "You are not signed in."
    zh = "尚未登录。"
    next_en = "Scan your badge or sign in."
    next_zh = "请刷工牌或登录。"


class Forbidden(MesError):
    code = "forbidden"
    status = 403
    en = "You do not have the right “{right}”."
    zh = "您没有“{right}”权限。"
    next_en = "Ask your supervisor."
    next_zh = "请联系班组长。"


class SameIdOtherBody(MesError):
    """The same event id with another body: a client's bug or a cloned profile, never a second booking."""

    code = "same_id_other_body"
    en = "Event {event_id} was already recorded with other content."
    zh = "事件 {event_id} 已以不同内容记录。"
    next_en = "Nothing was booked twice. Make the entry again; if it comes back, tell your administrator."
    next_zh = "没有重复记录。请重新录入；若再次出现，请联系管理员。"


class Overloaded(MesError):
    """A bounded queue is full; answered with Retry-After."""

    code = "overloaded"
    status = 503
    en = "The server is busy."
    zh = "服务器繁忙。"
    next_en = "Your entry is kept on this device and sent again in {retry_s} s."
    next_zh = "记录已存本机，{retry_s} 秒后自动重发。"


class StorageFailed(MesError):
    """A commit failed: nothing of the batch was booked."""

    code = "storage_failed"
    status = 503
    en = "The server could not write to its database."
    zh = "服务器无法写入数据库。"
    next_en = "Nothing was booked; it is sent again by itself. Tell your administrator if this lasts."
    next_zh = "没有记录任何内容，稍后自动重发。若持续出现请联系管理员。"


class NotStorable(Refused):
    """A text or number that no column takes: control characters, a number beyond all bounds."""

    code = "not_storable"
    en = "The entry holds signs or numbers that cannot be kept."
    zh = "内容含有无法保存的字符或数字。"
    next_en = "Scan or enter it again."
    next_zh = "请重新扫描或录入。"
