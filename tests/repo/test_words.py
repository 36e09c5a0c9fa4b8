"""Chinese and English are equal: every error says both with the same placeholders; the manual has the same pages in both."""

from __future__ import annotations

import importlib
import pkgutil
import re
from string import Formatter
from typing import get_args

import mes_server
from edge_agent.clock_guard import Trust
from edge_agent.health import Status
from edge_agent.storage import Level
from mes_server.kit.errors import MesError
from tests.repo.tree import ROOT, tracked

_HAN = re.compile(r"[\u4e00-\u9fff]")


def all_errors() -> list[type[MesError]]:
    for found in pkgutil.walk_packages(mes_server.__path__, "mes_server."):
        if not found.name.endswith("__main__") and ".migrations" not in found.name:
            importlib.import_module(found.name)
    todo, seen = [MesError], []
    while todo:
        one = todo.pop()
        todo += one.__subclasses__()
        if one is not MesError and one.__module__.startswith("mes_server"):
            seen.append(one)
    return seen


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_every_error_speaks_both_languages() -> None:
    """Code, words and next step in zh and en, with the same placeholders."""
    errors = all_errors()
    bad = []
    for one in errors:
        if places(one.en) != places(one.zh) or places(one.next_en) | places(one.en) < places(one.next_zh):
            bad.append(f"{one.__qualname__}: placeholders differ")
        if not _HAN.search(one.zh) or not _HAN.search(one.next_zh) or _HAN.search(one.en):
            bad.append(f"{one.__qualname__}: a language is missing")

    assert len(errors) > 40
    assert bad == []


def test_error_codes_are_unique() -> None:
    """A client can tell errors apart by their code."""
    codes: dict[str, list[str]] = {}
    for one in all_errors():
        if "code" in vars(one):
            codes.setdefault(one.code, []).append(one.__qualname__)

    assert {code: names for code, names in codes.items() if len(names) > 1} == {}


def test_every_state_an_edge_can_say_has_words_on_its_card() -> None:
    """Source, buffer and clock states of the wire stand in the dashboards' table in both languages, and nothing else does."""
    text = (ROOT / "dashboards/src/pages/health/words.ts").read_text(encoding="utf-8")
    shown = {
        what: {state: (zh, en) for state, zh, en in re.findall(r"^    (\w+): \['([^']+)', '([^']+)'\]", table, re.M)}
        for what, table in re.findall(r"^  (\w+): \{\n(.*?)^  \}", text, re.M | re.S)
    }
    said = {"source": set(get_args(Status)), "buffer": {one.value for one in Level}, "clock": {one.value for one in Trust}}

    assert {what: set(words) for what, words in shown.items()} == said
    assert all(_HAN.search(zh) and not _HAN.search(en) for words in shown.values() for zh, en in words.values())


def test_the_manual_has_the_same_pages_in_both_languages() -> None:
    """docs/manual/zh and docs/manual/en are twins, and each page is in its language."""
    pages = {lang: {name.split("/")[-1] for name in tracked(".md") if name.startswith(f"docs/manual/{lang}/")} for lang in ("zh", "en")}

    assert pages["zh"] == pages["en"]
    assert len(pages["zh"]) >= 8
    for name in pages["zh"]:
        assert len(_HAN.findall((ROOT / "docs/manual/zh" / name).read_text())) > 100, name
