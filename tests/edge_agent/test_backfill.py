"""Recordings: the same records as live, running totals that carry on, and every mistake named with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.backfill import fill
from edge_agent.buffer.store import Buffer
from edge_agent.config_text import load
from edge_agent.contract import names
from edge_agent.contract.names import GapCause
from edge_agent.errors import BufferLocked, RecordingInvalid
from edge_agent.sources.recording import RecordingWriter

T0 = 1_767_225_600_000
CONFIG = """group = "P"
edge = "E"
[sources.PLC]
type = "opcua"
security = "none"
[sources.PLC.devices.SAW-01]
namespace = "urn:x"
[sources.PLC.devices.SAW-01.metrics]
state = { node = "s=S" }
good = { node = "s=G", width_bits = 16 }
[sources.M]
type = "modbus"
[sources.M.devices.M-1]
kind = "meter"
model = "eastron_sdm630"
"""


def facts(folder: Path, name: str, device: str = "SAW-01") -> list[tuple[int, object]]:
    buffer = Buffer(folder / "edge.buffer", 10**9)
    alias = buffer.catalogue.find(device, name)
    rows = [row for s in buffer.read(0, 10_000) for row in s.columns.rows()]
    buffer.close()
    return [(t_ms - T0, value) for found, t_ms, _, value in rows if alias is not None and found == alias.alias]


def config(folder: Path) -> Path:
    path = folder / "edge.toml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("suffix", [".gz", ".jsonl"])
def test_a_recording_becomes_backlog_with_the_same_rules_as_live(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"history{suffix}"
    with RecordingWriter(path, "E", T0, T0 + 7_200_000) as writer:
        writer.column("SAW-01", "good", [T0 + 3000, T0 + 1000, T0 + 2000], [2, 65534, 65535])  # any order inside a stretch
        writer.column("SAW-01", "state", [T0 + 500, T0 + 2500], [6, 2])
        writer.column("M-1", "energy_import_wh", [T0 + 60_000, T0 + 120_000], [10.0, 10.5])
        writer.column("M-1", "power_w", [T0 + 60_000, T0 + 120_000], [900, 1000.5])
        writer.watched("SAW-01", T0 + 3_600_000)
        writer.watched("M-1", T0 + 3_600_000)
        writer.gap("SAW-01", T0 + 3_600_000, T0 + 4_000_000, GapCause.SOURCE_LOST, "PLC off")
        writer.column("SAW-01", "good", [T0 + 5_000_000], [9])
        writer.watched("SAW-01", T0 + 7_200_000)
    done = fill(load(config(tmp_path)), path)
    assert (done.values, done.devices) == (10, 2)
    assert facts(tmp_path, names.GOOD_TOTAL) == [(1000, 65534), (2000, 65535), (3000, 65538), (5_000_000, 65545)]
    assert facts(tmp_path, names.STATE) == [(500, "producing"), (2500, "stopped"), (4_000_000, "stopped")]
    assert facts(tmp_path, names.ENERGY_IMPORT_WH, "M-1") == [(60_000, 10_000.0), (120_000, 10_500.0)]
    assert facts(tmp_path, "power_w", "M-1") == [(60_000, 900.0), (120_000, 1000.5)]
    (_, gap) = facts(tmp_path, names.GAP)[0]
    assert json.loads(str(gap))["detail"] == "PLC off"
    assert facts(tmp_path, names.WATCHED_UNTIL)[-1] == (7_200_000, T0 + 7_200_000)


def test_a_second_recording_carries_the_totals_on_and_repeats_are_refused(tmp_path: Path) -> None:
    for k, start in enumerate((T0, T0 + 3_600_000)):
        with RecordingWriter(tmp_path / f"{k}.gz", "E", start, start + 3_600_000) as writer:
            writer.column("SAW-01", "good", [start + 10], [10 + k])
            writer.watched("SAW-01", start + 3_600_000)
    cfg = load(config(tmp_path))
    fill(cfg, tmp_path / "0.gz")
    fill(cfg, tmp_path / "1.gz")
    assert [value for _, value in facts(tmp_path, names.GOOD_TOTAL)] == [10, 11]
    assert facts(tmp_path, names.GAP) == []
    with pytest.raises(RecordingInvalid, match="line 2"):
        fill(cfg, tmp_path / "0.gz")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{}"], "line 1"),
        (['{"gemba_recording":1,"edge":"OTHER"}'], "edge OTHER"),
        (['{"gemba_recording":1,"edge":"E"}', "not json"], "line 2"),
        (['{"gemba_recording":1,"edge":"E"}', '{"device":"X","watched_ms":1}'], "device X"),
        (['{"gemba_recording":1,"edge":"E"}', '{"device":"SAW-01","metric":"nope","t_ms":1,"value":1}'], "metric nope"),
        (['{"gemba_recording":1,"edge":"E"}', '{"device":"SAW-01","metric":"good","t_ms":[1,2],"value":[1]}'], "line 2"),
        ([], "empty"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, lines: list[str], words: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(lines) + ("\n" if lines else ""))
    with pytest.raises(RecordingInvalid) as error:
        fill(load(config(tmp_path)), path)
    assert words in error.value.en


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
@pytest.mark.parametrize("content", [b"\xf1\x00\xff nonsense", b"\x1f\x8b\x08\x00cut off"])
def test_a_file_that_is_no_recording_is_said(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingInvalid, match=f"{name} line 1"):
        fill(load(config(tmp_path)), tmp_path / name)


def test_unknown_devices_may_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"gemba_recording":1,"edge":"E"}\n{"device":"X","watched_ms":1}\n{"device":"SAW-01","metric":"good","t_ms":5,"value":1}\n')
    assert fill(load(config(tmp_path)), path, skip_unknown=True).values == 1


def test_a_running_agent_keeps_its_buffer(tmp_path: Path) -> None:
    cfg = load(config(tmp_path))
    buffer = Buffer(cfg.buffer.path, 10**9)
    path = tmp_path / "r.jsonl"
    path.write_text('{"gemba_recording":1,"edge":"E"}\n')
    with pytest.raises(BufferLocked):
        fill(cfg, path)
    buffer.close()
