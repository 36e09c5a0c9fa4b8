"""One identity, one box: who may speak for an edge id when two agents do (a cloned card, a copied container). Pure; times are handed in.

A birth says its instance: machine "-" run. The machine that was confirmed first holds the identity; another one is refused ("fenced") until the
holder has been silent for LAPSE_S: so a dead box is replaced without a person. Once both were heard beside each other the other one is a twin, and
only TWIN_LAPSE_S of silence (a holder that really died) or a take-over by a person lets it in: a short loss of the holder's link must not hand the
plant over to a forgotten copy. Runs of one machine follow each other; a run that comes back after a newer one proves two agents with one machine
id, and the newer is fenced. Births without an instance are no agents of ours and are let in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

LAPSE_S = 120.0
TWIN_LAPSE_S = 3_600.0
ASK_AGAIN_MIN_S = 5.0
FORGET_S = 3 * TWIN_LAPSE_S  # an alarm goes when the other one has not asked for so long
OTHERS_MAX = 20  # of one edge
RUNS_KEPT = 16


@dataclass(slots=True)
class Other:
    """An agent that was refused. Real monotonic seconds, and plant time for people."""

    instance: str
    first_s: float
    last_s: float
    since_ms: int
    last_ms: int
    tries: int = 0
    twin: bool = False


@dataclass(slots=True)
class _Identity:
    machine: str = ""
    run: str = ""
    heard_s: float = 0.0
    runs_before: deque[str] = field(default_factory=lambda: deque(maxlen=RUNS_KEPT))
    others: dict[str, Other] = field(default_factory=dict)  # by machine, or by instance where it is a run of the holder's machine


class Fence:
    """`holders`: edge -> machine as stored; a holder counts as heard when the server starts."""

    def __init__(self, holders: Mapping[str, str], now_s: float, *, lapse_s: float = LAPSE_S, twin_lapse_s: float = TWIN_LAPSE_S) -> None:
        self.lapse_s, self.twin_lapse_s = lapse_s, twin_lapse_s
        self.unsaved: dict[str, str] = {}  # holders that changed and are to be stored
        self._of = {edge: _Identity(machine, heard_s=now_s) for edge, machine in holders.items()}

    def judge(self, edge: str, instance: str, now_s: float, now_ms: int, *, take_over: bool = False) -> float | None:
        """None: this birth is let in. Otherwise the seconds after which the agent may ask again."""
        machine, _, run = instance.partition("-")
        if not machine:
            return None
        who = self._of.setdefault(edge, _Identity(heard_s=now_s))
        if who.machine in ("", machine) and instance not in who.others:
            self._same_machine(who, edge, machine, run, now_s, now_ms)
            return None
        key = instance if who.machine == machine else machine
        wait_s = self._wait_s(who, who.others.get(key), now_s)
        if take_over or wait_s <= 0:
            if who.machine != machine:
                who.runs_before.clear()
                self.unsaved[edge] = machine
            else:
                who.runs_before.append(who.run)
            who.machine, who.run, who.heard_s = machine, run, now_s
            who.others.pop(key, None)
            return None
        self._refuse(who, key, instance, now_s, now_ms)
        return max(ASK_AGAIN_MIN_S, wait_s)

    def heard(self, edge: str, now_s: float) -> None:
        """A message of a session that was let in."""
        who = self._of.get(edge)
        if who is not None:
            who.heard_s = now_s

    def refused(self, edge: str, now_s: float) -> list[Other]:
        """The agents that were refused lately: each is an alarm."""
        who = self._of.get(edge)
        if who is None:
            return []
        return [other for other in list(who.others.values()) if now_s - other.last_s < FORGET_S]

    def _same_machine(self, who: _Identity, edge: str, machine: str, run: str, now_s: float, now_ms: int) -> None:
        if not who.machine:
            who.machine = self.unsaved[edge] = machine
        if run in who.runs_before:  # the older run lives: the newer one is a second agent with this machine's id
            newer = f"{machine}-{who.run}"
            self._refuse(who, newer, newer, now_s, now_ms)
            who.others[newer].twin = True
            who.runs_before.remove(run)
        elif who.run and run != who.run:
            who.runs_before.append(who.run)
        who.run, who.heard_s = run, now_s

    def _wait_s(self, who: _Identity, other: Other | None, now_s: float) -> float:
        if other is not None and who.heard_s > other.first_s:
            other.twin = True
        lapse_s = self.twin_lapse_s if other is not None and other.twin else self.lapse_s
        return lapse_s - (now_s - who.heard_s)

    def _refuse(self, who: _Identity, key: str, instance: str, now_s: float, now_ms: int) -> None:
        other = who.others.get(key)
        if other is None:
            while len(who.others) >= OTHERS_MAX:
                del who.others[min(who.others, key=lambda one: who.others[one].last_s)]
            other = who.others[key] = Other(instance, now_s, now_s, now_ms, now_ms)
        other.instance, other.last_s, other.last_ms = instance, now_s, now_ms
        other.tries += 1
