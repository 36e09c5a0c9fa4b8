"""What was found out about one subject: per rule how often it held, how often not, and the first proofs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from edge_agent.conformance.statements import Rule, rules
from edge_agent.contract.clock import iso

EVIDENCE_MAX = 3  # proofs kept of each broken rule
SUBJECTS_MAX = 5_000  # nodes and hosts graded at once
Status = Literal["pass", "fail", "advice", "not seen"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """`found` is names and numbers only, so that it needs no language."""

    at_ms: int
    topic: str
    found: str


@dataclass(slots=True)
class Tally:
    held: int = 0
    broken: int = 0
    evidence: list[Evidence] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`advice`: a SHOULD was not followed."""

    subject: str
    role: str
    rule: Rule
    status: Status
    held: int
    broken: int
    evidence: tuple[Evidence, ...]

    def as_json(self) -> dict[str, Any]:
        rule = self.rule
        return {
            "subject": self.subject,
            "role": self.role,
            "rule": rule.key,
            "ids": list(rule.ids),
            "level": rule.level,
            "status": self.status,
            "en": rule.en,
            "zh": rule.zh,
            "held": self.held,
            "broken": self.broken,
            "evidence": [{"at": iso(one.at_ms), "topic": one.topic, "found": one.found} for one in self.evidence],
        }


class Sheet:
    """The marks of one edge node ("G/E") or host application ("H")."""

    def __init__(self, subject: str, role: Literal["edge", "host"]) -> None:
        self.subject, self.role = subject, role
        self._tallies: dict[str, Tally] = {}
        self.at_ms = 0
        self.topic = ""

    def about(self, at_ms: int, topic: str) -> None:
        """What the following checks are about."""
        self.at_ms, self.topic = at_ms, topic

    def check(self, key: str, holds: bool, found: object = "") -> bool:
        """Notes one mark for a rule of the table; returns `holds`."""
        tally = self._tallies.setdefault(key, Tally())
        if holds:
            tally.held += 1
        else:
            tally.broken += 1
            if len(tally.evidence) < EVIDENCE_MAX:
                tally.evidence.append(Evidence(self.at_ms, self.topic, str(found)[:200]))
        return holds

    def verdicts(self) -> list[Verdict]:
        """One verdict for every rule of this role that the grader knows."""
        out: list[Verdict] = []
        for rule in rules().values():
            if rule.how == "none" or rule.role not in (self.role, "both"):
                continue
            tally = self._tallies.get(rule.key, Tally())
            status: Status = "not seen" if not tally.held and not tally.broken else "pass"
            if tally.broken:
                status = "advice" if rule.level == "SHOULD" else "fail"
            out.append(Verdict(self.subject, self.role, rule, status, tally.held, tally.broken, tuple(tally.evidence)))
        return out
