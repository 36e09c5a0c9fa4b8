"""Watches a broker and feeds the grader: live messages, at the end what the broker keeps, and a rebirth request where one is asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edge_agent.conformance.connection import BrokerAddress, Subscriber
from edge_agent.conformance.grader import Grader
from edge_agent.conformance.verdicts import Verdict
from edge_agent.contract.clock import Clock
from edge_agent.contract.names import REBIRTH
from edge_agent.contract.payload import DataType, set_value
from edge_agent.contract.sparkplug_b_pb2 import Payload
from edge_agent.contract.topics import NAMESPACE
from edge_agent.errors import EdgeError

LOOK_S = 1.0  # kept messages come at once after the subscription; so long after the last of them the look is over
ASK_AFTER_S = 1.0  # the request waits until nodes whose group was not named have been heard
TICK_S = 0.1
EXTRA_S = 20.0  # an open rebirth request is waited for so much longer
Progress = Callable[[float], None]


class Watcher:
    """`run` blocks for `seconds` (real time) and gives the verdicts."""

    def __init__(self, address: BrokerAddress, grader: Grader, clock: Clock, *, group: str | None, edge: str | None) -> None:
        self._address, self._grader, self._clock = address, grader, clock
        self._group, self._edge = group, edge
        self._lock = threading.Lock()
        self._own: set[tuple[str, bytes]] = set()
        self._live: Subscriber | None = None
        self.stop = threading.Event()

    def _filters(self) -> list[str]:
        return [f"{NAMESPACE}/{self._group}/#" if self._group else f"{NAMESPACE}/#", f"{NAMESPACE}/STATE/+", "STATE/+"]

    def run(self, seconds: float, *, rebirth: bool = False, progress: Progress | None = None) -> list[Verdict]:
        """Raises EdgeError where the broker cannot be reached or goes away."""
        live = self._live = Subscriber(self._address, self._filters(), self._heard, live_only=True)
        live.open()
        try:
            self._wait(live, seconds, rebirth, progress or (lambda _: None))
            self._look()  # while we go on listening: a birth sequence that has begun may come to its end
        finally:
            live.close()
        with self._lock:
            return self._grader.finish(self._clock.now_ms())

    def _wait(self, live: Subscriber, seconds: float, rebirth: bool, progress: Progress) -> None:
        begun = time.monotonic()
        asked = not rebirth
        while not self.stop.wait(TICK_S):
            now_s = time.monotonic() - begun
            if live.lost:
                raise EdgeError(
                    f"The broker {self._address} ended the connection: {live.lost}.",
                    f"代理 {self._address} 断开了连接:{live.lost}。",
                    "Start the check again when it is back.",
                    "请在其恢复后重新检查。",
                )
            if not asked and now_s >= min(ASK_AFTER_S, seconds / 2):
                asked = True
                self._ask(live)
            with self._lock:
                self._grader.tick(self._clock.now_ms())
                waiting = any(one.rebirth_open for one in self._grader.edges.values())
            progress(now_s)
            if now_s >= seconds and (not waiting or now_s >= seconds + EXTRA_S):
                return

    def _ask(self, live: Subscriber) -> None:
        with self._lock:
            nodes = {(group, edge) for group, edge in self._grader.edges if edge == self._edge}
            if self._group and self._edge:
                nodes.add((self._group, self._edge))
                self._grader.expect(self._group, self._edge)
        if not nodes:
            raise EdgeError(
                f"No node {self._edge} was heard within {ASK_AFTER_S:.0f} s.",
                f"{ASK_AFTER_S:.0f} 秒内没有听到节点 {self._edge}。",
                "Name its group too: --group.",
                "请同时用 --group 指定其组号。",
            )
        for group, edge in sorted(nodes):
            topic, payload = f"{NAMESPACE}/{group}/NCMD/{edge}", rebirth_request(self._clock.now_ms())
            with self._lock:
                self._own.add((topic, payload))
                self._grader.asked_rebirth(self._clock.now_ms(), group, edge)
            live.publish(topic, payload)

    def _heard(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        live = self._live
        assert live is not None
        with self._lock:
            if (topic, payload) in self._own:
                return
            if retain and not live.tells_retain:
                self._grader.stored(self._clock.now_ms(), topic, payload)
            else:
                self._grader.delivered(self._clock.now_ms(), topic, payload, qos, retain if live.tells_retain else None)

    def _look(self) -> None:
        """What the broker keeps now."""
        kept: list[tuple[str, bytes]] = []
        last_s = [time.monotonic()]

        def on_message(topic: str, payload: bytes, _qos: int, retain: bool) -> None:
            if retain:
                kept.append((topic, payload))
                last_s[0] = time.monotonic()

        look = Subscriber(self._address, self._filters(), on_message, live_only=False)
        look.open()
        last_s[0] = time.monotonic()
        while time.monotonic() - last_s[0] < LOOK_S:
            time.sleep(TICK_S)
        look.close()
        with self._lock:
            for topic, payload in kept:
                self._grader.stored(self._clock.now_ms(), topic, payload)
            self._grader.nothing_else_stored(self._clock.now_ms(), {topic.rpartition("/")[2] for topic, _ in kept if "STATE/" in topic})


def rebirth_request(now_ms: int) -> bytes:
    """NCMD Node Control/Rebirth = true. It carries the datatype although it need not: nodes of other makers read no value without it."""
    payload = Payload(timestamp=now_ms)
    metric = payload.metrics.add(name=REBIRTH, timestamp=now_ms, datatype=int(DataType.BOOLEAN))
    set_value(metric, DataType.BOOLEAN, True)
    return payload.SerializeToString()
