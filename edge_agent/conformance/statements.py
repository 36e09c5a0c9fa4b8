"""The table of statements: what Sparkplug B 3.0 asks of edge nodes and host applications, in own words, and how each is held to.

`statements.toml` groups the standard's statements (labels without their prefix `tck-id-`) under rules of one cause each. A rule is graded by the
grader (`how`: passive, rebirth, proxy) or not (`none`); then `tests` names this project's own test, or `why` says why it is not graded.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Role = Literal["edge", "host", "both", "server"]
How = Literal["passive", "rebirth", "proxy", "none"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause of failure. `ids`: the statements it stands for; `level`: MUST, SHOULD or MAY."""

    key: str
    role: Role
    level: str
    how: How
    en: str
    zh: str
    ids: tuple[str, ...]
    tests: tuple[str, ...] = ()
    why: str = ""

    def words(self, lang: str) -> str:
        return self.zh if lang == "zh" else self.en


@cache
def rules() -> dict[str, Rule]:
    """Every rule by its key, in the order of the table."""
    raw = tomllib.loads(files("edge_agent.conformance").joinpath("statements.toml").read_text(encoding="utf-8"))
    return {key: _rule(key, one) for key, one in raw.items()}


def _rule(key: str, one: dict[str, Any]) -> Rule:
    texts = {name: one[name] for name in ("role", "level", "how", "en", "zh")}
    return Rule(key, **texts, ids=tuple(one["ids"]), tests=tuple(one.get("tests", ())), why=one.get("why", ""))
