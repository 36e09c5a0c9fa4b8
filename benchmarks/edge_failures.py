"""The four failures of connectors, every value counted: 1,000 tags x 5 Hz on a PLC of somebody else's (open62541, the C stack, and node-opcua; both
encrypted), a real broker.

a: the broker is down 30 s. b: the agent is killed (-9) and started again. c: the PLC is down 10 s, three times.
d: the broker is down 30 s and the agent is killed in it. Beside c stands node-opcua's own client at the same servers: from their accepting to its
first value of 1,000 items, without a broker and a disk, and knowing beforehand where to look. Each tag's value is the number of the tick, so what is
missing or twice is seen tag by tag; in c the ticks between the server's accepting and its first values count as missing, and stand in the gap.
What the best known connectors lost in the same cases (measured side by side on a machine of this class): 86,465 of 152,000 in a; 1,000 to 10,584 in
b; 1,000 to all in c; 101,087 to 109,000 in d.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import row
from benchmarks._edge import Agent, head, tags_of, until

TAGS, HZ = 1000, 5.0
TICKS_MAX = 2_000
BROKER_DOWN_S, PLC_DOWN_S = 30.0, 10.0
BACK_S = 0.2
RESTARTS = 3
NODE_OPCUA, OPEN62541 = "opcua_tags.mjs", "open62541-tags"


def _make_tick_host() -> Any:
    from edge_agent.contract import names
    from edge_agent.contract.delivery import Marks
    from edge_agent.contract.payload import decode
    from tests.support.edge import Host

    class Ticks(Host):
        """Books records in order, as the server does, and counts each (tag, tick)."""

        def __init__(self, broker: Any) -> None:
            super().__init__(broker)
            self.seen = np.zeros((TAGS, TICKS_MAX), np.uint8)
            self.tag_of: dict[int, int] = {}
            self.gap_aliases: set[int] = set()
            self.gaps: list[dict[str, Any]] = []
            self.newest_s: dict[int, float] = {}  # tick -> when its first value came (any record, booked or not)
            self.mark, self.epoch = 0, ""
            self.ahead: dict[int, Any] = {}  # records that came in bundles before their turn
            self._guard = threading.Lock()

        def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
            if "/DDATA/" not in message.topic and "/DBIRTH/" not in message.topic:
                return
            payload = decode(message.payload)
            with self._guard:
                if "/DBIRTH/" in message.topic:
                    self._learn(payload)
                    return
                self._tally(payload)

        def _learn(self, payload: Any) -> None:
            for metric in payload.metrics:
                if metric.name.startswith("t") and metric.name[1:].isdigit():
                    self.tag_of[metric.alias] = int(metric.name[1:])
                elif metric.name in (names.GAP, names.SAMPLES_GAP):
                    self.gap_aliases.add(metric.alias)

        def _tally(self, payload: Any) -> None:
            marks = Marks.parse(payload.uuid, len(payload.metrics))
            now_s = time.monotonic()
            for metric in payload.metrics:
                if metric.alias in self.tag_of:
                    self.newest_s.setdefault(int(metric.double_value), now_s)
                    break
            if marks.epoch != self.epoch:
                self.mark, self.epoch = marks.numbers[0] - 1, marks.epoch
                self.ahead.clear()
            end = 0
            for n, count in zip(marks.numbers, marks.counts, strict=True):
                end += count
                if n == self.mark + 1 or (n > self.mark and len(marks.numbers) > 1):
                    self.ahead[n] = payload.metrics[end - count : end]
            if marks.numbers[0] > self.mark + 1:
                return
            while (metrics := self.ahead.pop(self.mark + 1, None)) is not None:
                self.mark += 1
                self._take(metrics)
            self.command(**{names.STORED_EPOCH: self.epoch, names.STORED_UP_TO: self.mark})

        def _take(self, metrics: Any) -> None:
            for metric in metrics:
                tag = self.tag_of.get(metric.alias)
                if tag is not None and not metric.is_null:
                    self.seen[tag, int(metric.double_value)] += 1
                elif metric.alias in self.gap_aliases:
                    self.gaps.append(json.loads(metric.string_value))

    return Ticks


def _config(folder: Path, broker: Any, port: int) -> Path:
    folder.joinpath("plc.password").write_text("secret\n")
    source = (
        f'[sources.PLC]\ntype = "opcua"\nurl = "opc.tcp://127.0.0.1:{port}"\ntrust = "first_use"\nuser = "edge"\npassword_file = "plc.password"\n'
        "publishing_interval_s = 0.05\nsettle_s = 0.0\nqueue_size = 500\n"
    )
    path = folder / "edge.toml"
    path.write_text(head(broker, "[delivery]\nretry_s = 2.0\ncommit_interval_s = 0.02\n") + source + tags_of("PLC", "urn:gemba:test:plc", TAGS))
    return path


def run() -> Iterator[dict[str, Any]]:
    """Rows for `python -m benchmarks edge_failures`; needs node-opcua and open62541 (`make services`)."""
    for case, server in itertools.product("abcd", (NODE_OPCUA, OPEN62541)):
        name = case if server == NODE_OPCUA else f"{case}_open62541"
        with tempfile.TemporaryDirectory() as folder:
            print(f"  case {name}", flush=True)
            found = _Case(Path(folder), server).run(case)
        yield row(f"edge_failures_{name}_missing", found["missing"], "values", found["offered"])
        yield row(f"edge_failures_{name}_twice", found["twice"], "values", found["offered"])
        yield row(f"edge_failures_{name}_gap_records", found["gaps"], "records")
        if case == "c":
            yield row(f"edge_failures_{name}_values_again_after_accept", found["back_s"], "s", BACK_S)
            yield row(f"edge_failures_{name}_of_it_cpu_of_the_server", found["server_s"], "s")
            yield row(f"edge_failures_{name}_of_it_cpu_of_the_agent", found["agent_s"], "s")
            with tempfile.TemporaryDirectory() as folder:
                yield row(f"edge_failures_{name}_node_opcua_client_after_accept", _peers_client(Path(folder), server), "s", BACK_S)


def _peers_client(folder: Path, server: str) -> float:
    """Median seconds from the server's accepting to the first value at node-opcua's client."""
    from tests.support.third_party import Peer

    how = {"tags": TAGS, "hz": HZ}
    with Peer(server, folder, **how) as plc, Peer("opcua_client.mjs", folder, port=plc.port, tags=TAGS) as client:
        client.ask({"connect": True})  # its code is warm, as the agent's is
        took = []
        for _ in range(RESTARTS):
            plc.kill()
            found: list[dict[str, float]] = []
            asking = threading.Thread(target=lambda found=found: found.append(client.ask({"connect": True})))  # type: ignore[misc]
            asking.start()
            time.sleep(1.0)
            plc.start(**how)
            accepted_ms = time.time() * 1000
            asking.join()
            took.append(max(0.0, found[0]["first_ms"] - accepted_ms) / 1000)
    return statistics.median(took)


class _Case:
    """One failure over a fresh plant."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.server = folder, server
        self.backs: dict[str, float] = {}  # of c: seconds until values came again, and the CPU of server and agent in that time

    def run(self, case: str) -> dict[str, float]:
        from tests.support.broker import nats
        from tests.support.third_party import Peer

        how = {"tags": TAGS, "hz": HZ}
        with nats(self.folder) as broker, Peer(self.server, self.folder, **how) as plc:
            host = _make_tick_host()(broker)
            host.connect()
            with Agent(_config(self.folder, broker, plc.port)) as agent:
                assert until(lambda: host.seen.any(axis=1).all(), 60), "not every tag has come"
                time.sleep(5.0)
                first = plc.ask({"tick": True})["tick"]
                unseen = self._fail(case, broker, plc, agent, host, how)
                time.sleep(5.0)
                last = plc.ask({"stop": True})["tick"]
                until(lambda: bool((host.seen[:, last] > 0).all()), 60)
                time.sleep(1.0)
            host.disconnect()
        for gap in host.gaps if case != "c" else ():
            print("    ", gap, flush=True)
        window = host.seen[:, first : last + 1].astype(np.int64)
        window = np.delete(window, [tick - first for tick in unseen if first <= tick <= last], axis=1)
        return {
            "offered": window.size,
            "missing": int((window == 0).sum()),
            "twice": int((window - 1)[window > 1].sum()),
            "gaps": len(host.gaps),
            **self.backs,
        }

    def _fail(self, case: str, broker: Any, plc: Any, agent: Agent, host: Any, how: dict[str, float]) -> list[int]:
        """Makes it happen and waits until it is over. Returns (c) the ticks that the PLC's own end took with it."""
        if case in "ad":
            broker.kill()
            time.sleep(BROKER_DOWN_S / 2)
            if case == "d":
                agent.kill()
                agent.start()
            time.sleep(BROKER_DOWN_S / 2)
            broker.start()
        elif case == "b":
            agent.kill()
            agent.start()
        else:
            found, unseen = [], []
            for _ in range(RESTARTS):
                back, ticks = self._plc_down(plc, agent, host, how)
                found.append(back)
                unseen += ticks
                time.sleep(2.0)
            print("    ", " ".join(f"{back['back_s']:.3f} s" for back in found), flush=True)
            self.backs = {name: statistics.median(back[name] for back in found) for name in found[0]}
            return unseen
        return []

    def _plc_down(self, plc: Any, agent: Agent, host: Any, how: dict[str, float]) -> tuple[dict[str, float], list[int]]:
        """(seconds until values came again, ticks that its end took with it)"""
        tick = plc.ask({"tick": True})["tick"]
        plc.kill()
        time.sleep(PLC_DOWN_S)
        # It goes on from another number: what it had not yet told when it ended is gone with it, and nobody can tell it apart.
        plc.start(**how, **{"from": tick + 10})
        accepted, server_s, agent_s = time.monotonic(), _cpu_s(plc._process.pid), agent.cpu_s()
        until(lambda: any(number >= tick + 10 for number in list(host.newest_s)), 60)
        server_s, agent_s = _cpu_s(plc._process.pid) - server_s, agent.cpu_s() - agent_s
        back_s = min(when for number, when in host.newest_s.items() if number >= tick + 10) - accepted
        return {"back_s": max(0.0, back_s), "server_s": server_s, "agent_s": agent_s}, list(range(tick, tick + 10))


def _cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
