"""Power cut on the buffer (R05): every state the disk may be in is opened by the product. Nothing acknowledged is lost, nothing is corrupt,
and what the pipeline remembers, the catalogue and the sources' memories agree with the newest record.

Measured with the same method: SQLite with WAL and synchronous=NORMAL lost acknowledged rows in half of such states; with FULL in none.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.backfill import fill
from edge_agent.buffer.store import Buffer
from edge_agent.config_text import load
from edge_agent.contract.names import GapCause
from edge_agent.sources.recording import RecordingWriter
from tests.support import power_cut
from tests.support.buffer_writer import WRITER, check

pytestmark = [
    pytest.mark.skipif(power_cut.STRACE is None, reason="strace is not installed: apt-get install strace"),
    pytest.mark.timeout(3600),  # tens of thousands of disks in the full run
]


def open_every(recording: power_cut.Recording, folder: Path, seed: int, per_flush: int | None, check: Callable[[Path, str], object]) -> int:
    """Checks the images one by one; the number of different ones."""
    print("seed", seed)
    rng = random.Random(seed)
    seen: set[int] = set()
    wrong: list[str] = []
    for image in recording.images(rng, per_flush):
        key = hash((image.said, tuple(sorted(image.files.items()))))
        if key in seen:
            continue
        seen.add(key)
        image.put(folder)
        try:
            check(folder / "edge.buffer", image.said)
        except AssertionError as error:
            wrong.append(f"{image.why}: {error}")
    assert not wrong, f"seed {seed}: {len(wrong)} of {len(seen)} images are wrong, first: {wrong[:3]}"
    return len(seen)


@pytest.mark.parametrize(
    ("commits", "checkpoint_bytes", "epochs", "reserve_bytes", "per_flush"),
    [
        pytest.param(14, 100_000, [4, 11], 0, 40, id="few"),
        pytest.param(6, 100_000, [3], 1_700_000, 10, id="few-with-reserve"),
        pytest.param(40, 100_000, [10, 11, 30], 0, None, id="every-state", marks=pytest.mark.full),
        pytest.param(60, 8_000_000, [], 0, None, id="every-state-no-checkpoint", marks=pytest.mark.full),
        pytest.param(20, 100_000, [9], 1_700_000, 200, id="most-states-with-reserve", marks=pytest.mark.full),
    ],
)
def test_no_power_cut_loses_or_damages_anything(
    tmp_path: Path, commits: int, checkpoint_bytes: int, epochs: list[int], reserve_bytes: int, per_flush: int | None
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    recording = power_cut.record(WRITER, made, str(made / "edge.buffer"), str(commits), str(checkpoint_bytes), json.dumps(epochs), str(reserve_bytes))
    folder = power_cut.scratch(tmp_path)
    try:
        images = open_every(recording, folder, seed=commits, per_flush=per_flush, check=check)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{recording.flushes} flushes, {images} different disks after a power cut: 0 lost, 0 corrupt")
    assert recording.flushes > commits and images > recording.flushes


BACKFILL = """
import sys
from pathlib import Path
from edge_agent import backfill
from edge_agent.config_text import load
backfill.COMMIT_VALUES = 40
print(backfill.fill(load(Path(sys.argv[1])), Path(sys.argv[2])).records, flush=True)
"""
CONFIG = """group = "P"
edge = "E"
[buffer]
path = "made/edge.buffer"
reserve_mb = 0
[sources.PLC]
type = "opcua"
security = "none"
[sources.PLC.devices.SAW-01]
namespace = "urn:x"
[sources.PLC.devices.SAW-01.metrics]
good = { node = "s=G", width_bits = 16 }
"""


def make_recording(path: Path, hours: int) -> int:
    """A counter that rolls over, and a gap; the parts made."""
    t0, made = 1_767_225_600_000, 65_500
    with RecordingWriter(path, "E", t0, t0 + hours * 3_600_000) as writer:
        for hour in range(hours):
            start = t0 + hour * 3_600_000
            times = [start + 1000 * k for k in range(1, 60)]
            writer.column("SAW-01", "good", times, [(made + k) % 65_536 for k in range(59)])
            made += 59
            writer.watched("SAW-01", start + 1_800_000)
            if hour % 3 == 1:
                writer.gap("SAW-01", start + 1_800_000, start + 3_600_000, GapCause.SOURCE_LOST, "PLC off")
            else:
                writer.watched("SAW-01", start + 3_600_000)
    return made - 1


def contents(path: Path) -> dict[tuple[str, int], object]:
    """(metric, time) -> value of everything in the buffer; a value said twice must be the same."""
    buffer = Buffer(path, 10**9)
    assert buffer.set_aside is None
    found: dict[tuple[str, int], object] = {}
    for stored in buffer.read(0, 10_000):
        for alias, t_ms, _, value in stored.columns.rows():
            assert found.setdefault((buffer.catalogue.by_alias[alias].name, t_ms), value) == value
    buffer.close()
    return found


@pytest.mark.parametrize("per_flush", [2, pytest.param(60, marks=pytest.mark.full)])
def test_a_backfill_cut_off_by_a_power_cut_is_finished_by_the_same_command(tmp_path: Path, per_flush: int) -> None:
    made, config, recording = tmp_path / "made", tmp_path / "edge.toml", tmp_path / "history.gz"
    made.mkdir()
    config.write_text(CONFIG)
    newest = make_recording(recording, hours=8)
    traced = power_cut.record(BACKFILL, made, str(config), str(recording))
    whole = contents(made / "edge.buffer")
    assert whole["good_total", max(t_ms for name, t_ms in whole if name == "good_total")] == newest

    def finish(path: Path, _said: str) -> None:
        loaded = load(config)
        fill(loaded.model_copy(update={"buffer": loaded.buffer.model_copy(update={"path": path})}), recording, resume=True)
        assert {key: value for key, value in contents(path).items() if key[0] != "watched_until"} == {
            key: value for key, value in whole.items() if key[0] != "watched_until"
        }

    folder = power_cut.scratch(tmp_path)
    try:
        images = open_every(traced, folder, seed=8, per_flush=per_flush, check=finish)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"backfill: {traced.flushes} flushes, {images} different disks after a power cut, each finished exactly by --resume")
