"""What pydantic finds is said in the reader's language, by field; the language is the request's, else the person's, else the plant's."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from string import Formatter
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import pytest
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from mes_server.kit.errors import wanted_lang
from mes_server.kit.wording import WORDS, field_of, listed, worded
from tests.support.server import RunningServer

HAN = re.compile(r"[\u4e00-\u9fff]")


class Small(BaseModel):
    a: int


class Sample(BaseModel, extra="forbid"):
    text: Annotated[str, Field(min_length=2, max_length=4, pattern="^[a-z]+$")] = "abc"
    whole: Annotated[int, Field(ge=1, le=9)] = 1
    number: Annotated[float, Field(gt=0, lt=9, allow_inf_nan=False)] = 1
    flag: bool = True
    word: Literal["zh", "en"] = "zh"
    some: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    table: dict[str, int] = {}
    small: Small | None = None
    id: UUID | None = None
    at: AwareDatetime | None = None
    day: date | None = None


WRONG: list[dict[str, Any]] = [
    {"text": 1}, {"text": "a"}, {"text": "abcde"}, {"text": "A1"}, {"whole": "x"}, {"whole": 1.5}, {"whole": []}, {"whole": 0}, {"whole": 10},
    {"whole": "9" * 5000}, {"number": "x"}, {"number": []}, {"number": 0}, {"number": 9}, {"number": float("nan")}, {"flag": "perhaps"}, {"flag": []},
    {"word": "fr"}, {"some": 1}, {"some": []}, {"some": [1, 2, 3]}, {"table": 1}, {"small": {}}, {"small": 1}, {"id": "x"}, {"id": []}, {"at": "x"},
    {"at": "2026-03-02T06:00:00"}, {"at": []}, {"day": "x"}, {"day": "2026-03-02T06:00:01"}, {"nonsense": 1},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_no_word_of_the_parser_reaches_a_person(number: int) -> None:
    wrong = WRONG[number]
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate(wrong)
    zh, en = listed(caught.value.errors(), "zh"), listed(caught.value.errors(), "en")
    (field,) = wrong
    assert zh.startswith(field) and HAN.search(zh) and "无法识别" not in zh, zh
    assert en.startswith(f"{field}") and not HAN.search(en) and "cannot be read" not in en, en
    assert "?" not in zh + en, "a number of the context is missing"
    assert not re.search(r"[Ii]nput should|valid|Field required|pydantic|Extra inputs", zh + en)


def test_both_languages_name_the_same_numbers() -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    assert [kind for kind, (zh, en) in WORDS.items() if places(zh) != places(en) or not HAN.search(zh) or HAN.search(en)] == []


def test_a_field_is_named_as_the_client_wrote_it() -> None:
    assert field_of(("body", "acts", 0, "quantity")) == "acts.0.quantity"
    assert field_of(("query", "limit")) == "limit"
    assert field_of(("body", 17)) == "", "the offset in a text that is no JSON is no field"
    assert worded("不行", "no").message() == "no"


@pytest.mark.parametrize(
    ("x_lang", "accept", "expected"),
    [
        (None, None, None),
        ("en", "zh-CN", "en"),
        (None, "fr-FR, en;q=0.8, zh;q=0.4", "en"),
        (None, "en;q=0.3,zh-TW;q=0.9", "zh"),
        (None, "fr, de;q=0.5", None),
        ("fr", "en-GB", "en"),
        (None, "en;q=0", None),
        (None, "en;q=nonsense, zh", "zh"),
        (None, ";;q=,,", None),
    ],
)
def test_the_language_a_request_asks_for(x_lang: str | None, accept: str | None, expected: str | None) -> None:
    assert wanted_lang(x_lang, accept) == expected


def test_who_does_not_say_a_language_is_answered_in_the_persons_and_nobody_in_the_plants(make_server: Callable[..., RunningServer]) -> None:
    """A script without Accept-Language, a browser that speaks neither."""
    server = make_server(lang="en")
    assert httpx.get(f"{server.url}/api/v1/people").json()["title"] == "You are not signed in."
    assert httpx.get(f"{server.url}/api/v1/people", headers={"Accept-Language": "zh-CN"}).json()["title"] == "尚未登录。"
    client = server.client("read", lang="zh")
    del client.headers["X-Lang"]
    assert client.get("/people").json()["title"] == "您没有“people.edit”权限。", "this person reads Chinese"
    bad = client.get("/lots", params={"limit": "many"}).json()
    assert bad["title"] == "内容不完整或无法识别：limit：应为整数" and bad["params"] == {"fields": "limit：应为整数"}
    assert client.get("/lots", params={"limit": "many"}, headers={"X-Lang": "en"}).json()["params"] == {"fields": "limit: must be a whole number"}
