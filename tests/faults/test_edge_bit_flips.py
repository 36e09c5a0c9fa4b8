"""One flipped bit in every 4 KB page of the buffer (R32): it is found (the file is set aside whole, or the record is said to be damaged), or it
is harmless. Never another number, never another name, never a file replaced by an empty one."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from edge_agent.buffer.store import Buffer
from edge_agent.contract import names
from edge_agent.contract.payload import DataType
from edge_agent.errors import BufferUnusable
from edge_agent.pipeline.columns import DOUBLE, INT, STRING, Columns
from edge_agent.pipeline.counters import CounterState
from edge_agent.pipeline.device import Memory
from tests.support import power_cut

PAGE = 4096
Contents = dict[str, object]


def make(path: Path, records: int) -> None:
    """A buffer with history: answered records, a second epoch; in `cut` as a power cut leaves it (with a WAL), in `closed` after an orderly end."""
    buffer = Buffer(path, 10**9)
    buffer.checkpoint_bytes = 150_000
    metrics = {
        device: [
            buffer.catalogue.metric(device, name, kind)
            for name, kind in (
                (names.GAP, DataType.STRING),
                (names.GOOD_TOTAL, DataType.INT64),
                (names.STATE, DataType.STRING),
                ("power_w", DataType.DOUBLE),
            )
        ]
        for device in ("SAW-01", "LAT-01", "MC-01")
    }
    for k in range(records):
        device = list(metrics)[k % 3]
        _, good, state, power = metrics[device]
        rows: list[tuple[int, int, int, object]] = [(good.alias, 1000 * k, INT, k), (state.alias, 1000 * k, STRING, "producing")]
        rows += [(power.alias, 1000 * k + i, DOUBLE, k + i / 7) for i in range(60)]
        memory = Memory(1000 * k, {"good": CounterState(float(k), 65_536.0, 1000 * k)}, {"order": f"WO-{k // 10}"}, "producing", 6)
        buffer.commit([(device, Columns.of(rows))], [(device, memory)], [("SAW-01", 1000 * k)], max(0, k - records // 2), [("PLC", b"%d" % k)])  # type: ignore[arg-type]
        if k == records // 3:
            buffer.begin_epoch()
    shutil.copytree(path.parent, path.parent.with_name("cut"))
    buffer.close()
    shutil.copytree(path.parent, path.parent.with_name("closed"))


def contents(buffer: Buffer) -> Contents:
    """Everything that can reach the wire. A damaged record is None."""
    found: Contents = {"epoch": buffer.epoch, "last": buffer.last_n, "answered": buffer.answered_n, "sources": buffer.source_memories()}
    found["metrics"] = sorted((m.alias, m.device, m.name, int(m.datatype)) for m in buffer.catalogue.by_alias.values())
    for device, memory in buffer.memories().items():
        found[f"memory {device}"] = (memory.proven_ms, memory.to_json())
    for stored in buffer.read(0, 100_000):
        damaged = not len(stored.columns) or '"cause":"damaged"' in "".join(stored.columns.strings)
        found[f"record {stored.n}"] = None if damaged else (stored.device, stored.columns.rows())
    return found


def verdict(path: Path, sound: Contents, flipped: bytes, *, in_wal: bool) -> str:
    """What the product makes of the file; AssertionError when it takes a wrong value for true."""
    try:
        buffer = Buffer(path, 10**9)
    except BufferUnusable:
        return "refused"
    try:
        if buffer.set_aside is not None:
            kept = [one.read_bytes() for one in path.parent.iterdir() if ".damaged-1" in one.name]
            assert flipped in kept, "the damaged file is not kept whole"
            assert buffer.epoch != sound["epoch"] and buffer.last_n == 0
            return "set aside"
        found = contents(buffer)
        if in_wal and found["last"] != sound["last"]:  # SQLite reads a WAL up to the first frame that is damaged: an older, whole state
            assert found["epoch"] == sound["epoch"] and int(str(found["last"])) < int(str(sound["last"]))
            return "older"
        damaged = [key for key, value in found.items() if value is None]
        assert {**found, **{key: sound[key] for key in damaged}} == sound
        assert buffer.damaged_records >= len(damaged)
        return "record" if damaged else "harmless"
    finally:
        buffer.close()


@pytest.mark.timeout(1800)
# Neither number ends right behind a checkpoint: then nothing of the WAL that counts would be left to damage.
@pytest.mark.parametrize(("records", "bits"), [(45, 2), pytest.param(280, 12, marks=pytest.mark.full)])
def test_a_flipped_bit_is_found_or_harmless(tmp_path: Path, records: int, bits: int) -> None:
    print("seed", records)
    rng = random.Random(records)
    made = power_cut.scratch(tmp_path) / "made"
    made.mkdir(parents=True)
    make(made / "edge.buffer", records)
    folder = made.with_name("flipped")
    verdicts: Counter[str] = Counter()
    try:
        for left, name in (("cut", "edge.buffer"), ("cut", "edge.buffer-wal"), ("closed", "edge.buffer")):
            copy = made.with_name(left)
            shutil.copytree(copy, folder)
            sound = contents(Buffer(folder / "edge.buffer", 10**9))
            whole = (copy / name).read_bytes()
            for start in range(0, len(whole), PAGE):
                for _ in range(bits):
                    at, bit = rng.randrange(start, min(start + PAGE, len(whole))), rng.randrange(8)
                    shutil.rmtree(folder)
                    shutil.copytree(copy, folder)
                    flipped = bytearray(whole)
                    flipped[at] ^= 1 << bit
                    (folder / name).write_bytes(flipped)
                    try:
                        verdicts[f"{left} {name}: {verdict(folder / 'edge.buffer', sound, bytes(flipped), in_wal=name.endswith('-wal'))}"] += 1
                    except AssertionError as error:
                        raise AssertionError(f"seed {records}, {left} {name}, byte {at}, bit {bit}: {error}") from error
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(made.parent, ignore_errors=True)
    print(f"{sum(verdicts.values())} flipped bits: {dict(verdicts)}")
    assert verdicts["closed edge.buffer: set aside"] and verdicts["closed edge.buffer: record"] and verdicts["cut edge.buffer-wal: older"]
