"""Strange bytes from the wire: never a crash, always quick, put aside with a reason, and the good neighbours are stored."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.contract.sparkplug_b_pb2 import Payload
from tests.support.ingest import EPOCH, T0, Bench, bench, births, data, story

CORPUS = Path(os.environ.get("GEMBA_TEST_DATA", "../shared/data")) / "badinput"  # corpora that may not ship lie beside the clone
SLOWEST_S = 0.1
KINDS = ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH", "NCMD", "STATE")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as one:
        yield one


def taken_s(made: Bench, message: tuple[str, bytes]) -> float:
    """CPU seconds of this thread: the machine may be busy with other tests."""
    made.feed(message)
    began = time.thread_time()
    made.service.intake.take(made.service.inbox.take(1 << 30)[0], time.monotonic(), T0)
    return time.thread_time() - began


def survives(made: Bench, messages: list[tuple[str, bytes]]) -> float:
    """Feeds each alone; afterwards an honest record is still stored. Returns the slowest step, s."""
    slowest = 0.0
    for message in messages:
        took = taken_s(made, message)
        if took > SLOWEST_S:  # once more: caches, and a collection of garbage that was not this message's
            took = min(took, *(taken_s(made, message) for _ in range(2)))
        slowest = max(slowest, took)
    made.commit()
    made.feed(*births(bdseq=9), data(1, "SAW-01", [("good_total", 1, T0)], epoch="f" * 16))
    made.commit()
    assert made.answers[-1] == ("f" * 16, 1), "an honest edge is still served"
    assert made.service.figures["step_failures"] == 0
    return slowest


def mutants(seed: int, count: int) -> list[tuple[str, bytes]]:
    """Honest Sparkplug messages with bits flipped, cut, doubled, and put on other topics."""
    rng = random.Random(seed)
    honest = [*births(), *story(seed, 30)]
    found: list[tuple[str, bytes]] = []
    for _ in range(count):
        topic, payload = rng.choice(honest)
        octets = bytearray(payload)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(octets)) if octets else 0
            what = rng.randrange(4)
            if what == 0 and octets:
                octets[place] ^= 1 << rng.randrange(8)
            elif what == 1:
                octets[place:place] = rng.randbytes(rng.randint(1, 8))
            elif what == 2:
                del octets[place : place + rng.randint(1, 10)]
            else:
                octets += octets[:place]
        if rng.random() < 0.3:
            topic = topic.replace(topic.split("/")[2], rng.choice(KINDS))
        found.append((topic, bytes(octets)))
    return found


def test_mutated_sparkplug(made: Bench) -> None:
    made.feed(*births())
    slowest = survives(made, mutants(11, 3_000))
    print(f"3,000 mutated messages, slowest {slowest * 1000:.1f} ms, {made.service.figures['quarantined']} put aside")
    assert slowest < SLOWEST_S


def test_mosquittos_packets_as_payloads(made: Bench) -> None:
    folder = CORPUS / "mqtt-mosquitto" / "packets"
    if not folder.is_dir():
        pytest.skip("NOT RUN: no mosquitto packet corpus; set GEMBA_TEST_DATA to the folder that holds badinput/")
    made.feed(*births())
    payloads: list[bytes] = []
    for path in sorted(folder.glob("*.json")):
        for group in json.loads(path.read_text()):
            payloads += [octets for test in group.get("tests", []) for one in test.get("msgs", []) if (octets := _octets(one.get("payload", "")))]
    assert len(payloads) > 500
    topics = ["spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", "spBv1.0/PUMP/NBIRTH/EDGE-X", "spBv1.0/PUMP/DBIRTH/EDGE-L1/NEW"]
    slowest = survives(made, [(topics[index % 3], payload) for index, payload in enumerate(payloads)])
    print(f"{len(payloads)} packets as payloads, slowest {slowest * 1000:.1f} ms, {made.service.figures['quarantined']} put aside")
    assert slowest < SLOWEST_S


def _octets(text: str) -> bytes:
    """The corpus writes packets as hex bytes and quoted text; whatever of it is hex will do as nonsense."""
    found = bytearray()
    for word in text.replace("\n", " ").split():
        try:
            found += bytes.fromhex(word)
        except ValueError:
            found += word.encode()
    return bytes(found)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "spBv1.0",
        "spBv1.0/PUMP",
        "spBv1.0/PUMP/DDATA/EDGE-L1",
        "spBv1.0/PUMP/DDATA/EDGE-L1/a/b",
        "spBv1.0/PUMP/XDATA/E/D",
        "spAv1.0/G/NBIRTH/E",
        "spBv1.0/PUMP/NBIRTH/" + "x" * 65,
        "spBv1.0/PUMP/NBIRTH/\u0000",
        "spBv1.0/泵/NBIRTH/E",
        "spBv1.0/STATE/other",
        "STATE/old",
        "spBv1.0/PUMP/NDATA/E/D",
    ],
)
def test_topics_of_nobody(made: Bench, topic: str) -> None:
    survives(made, [(topic, b"ONLINE"), (topic, b"")])


def test_a_flood_of_edges_devices_and_names_is_bounded(made: Bench) -> None:
    messages = [(f"spBv1.0/PUMP/NBIRTH/E{index}", births()[0][1]) for index in range(3_000)]
    birth = Payload(timestamp=T0, seq=1)
    for index in range(5_000):
        metric = birth.metrics.add()
        metric.name, metric.alias, metric.datatype, metric.double_value = f"m{index}", index, 10, 1.0
    messages += [(f"spBv1.0/PUMP/DBIRTH/E1/D{index}", birth.SerializeToString()) for index in range(30)]
    for message in messages:
        made.feed(message)
    made.commit()
    assert len(made.service.host.nodes) <= 2_000 and len(made.service.table.metrics) <= 60_000
    assert made.service.figures["quarantined"] >= 1_000


def test_marks_that_are_none(made: Bench) -> None:
    made.feed(*births())
    for uuid in ("x", f"{EPOCH}:0", f"{EPOCH}:-1", f"{EPOCH}:1.5", f"{EPOCH}:{2**63}", f"{EPOCH}:{'9' * 40}", "0" * 15 + ":1", f"{EPOCH}:١"):
        payload = Payload.FromString(data(1, "SAW-01", [("good_total", 1, T0)])[1])
        payload.uuid = uuid
        made.feed(("spBv1.0/PUMP/DDATA/EDGE-L1/SAW-01", payload.SerializeToString()))
    made.commit()
    assert made.service.figures["quarantined"] == 8 and not made.booking.rows["counts"]


def test_a_far_ahead_mark_does_not_fill_the_memory(made: Bench) -> None:
    made.feed(*births())
    for n in range(10, 30_000, 5):
        made.feed(data(n, "SAW-01", [("good_total", 1, T0)]))
    made.commit()
    lane = made.service.intake.stream("EDGE-L1", EPOCH).facts
    assert len(lane.held) <= 4_096 and lane.held_bytes <= 8_000_000 and min(lane.held) == 10, "the nearest are kept"
