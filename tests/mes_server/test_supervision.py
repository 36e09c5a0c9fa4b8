"""Parts of the server that live as long as it: what fails in one does not end another, and nothing two of them write is ever half."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_agent.contract.clock import ManualClock
from mes_server.app import create_app
from mes_server.identity.service import Identity, _badge_key
from mes_server.kit.files import write_whole
from mes_server.quality.service import store_photo
from mes_server.telemetry import duckdb_store
from mes_server.telemetry.copying import CopyDoor, ask_for_copy
from mes_server.telemetry.duckdb_store import DuckdbStore
from mes_server.telemetry.errors import TelemetryFailed
from mes_server.telemetry.store import Samples
from tests.support.server import copy_sqlite, make_settings
from tests.support.wait import PATIENCE

KEY = ("EDGE-L1", "0123456789abcdef")
JPEG = b"\xff\xd8\xff\xe0" + bytes(200_000)


def at_once(work: Callable[[int], object], many: int = 4) -> list[object]:
    together = threading.Barrier(many)

    def begin(number: int) -> object:
        together.wait(30 * PATIENCE)
        return work(number)

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(begin, range(many)))


def test_a_part_that_fails_to_stop_leaves_no_other_running(
    tmp_path: Path, empty_sqlite: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full at the end: sealing fails, but the broker's process and the writer must end."""
    copy_sqlite(empty_sqlite, tmp_path)
    app = create_app(make_settings(tmp_path), clock=clock)

    async def full(self: Identity) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Identity, "stop", full)
    ended: list[str] = []
    monkeypatch.setattr("mes_server.kit.sealing.Sealer.stop", lambda self: asyncio.to_thread(ended.append, "sealer"))

    async def live() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(live())
    assert ended == ["sealer"] and app.state.kit.acts.faults() == ["writer_not_running"]
    assert "Identity did not stop in good order" in caplog.text


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    at_once(lambda number: [write_whole(tmp_path / "one", str(number).encode() * 5000) for _ in range(25)])
    found = (tmp_path / "one").read_bytes()
    assert len(found) == 5000 and len(set(found)) == 1 and len(list(tmp_path.iterdir())) == 1


def test_one_photo_sent_by_several_tablets_at_once_is_kept_once(tmp_path: Path) -> None:
    for round_ in range(10):
        content = JPEG + bytes([round_])
        [found] = set(at_once(lambda _, content=content: store_photo(tmp_path, content)))  # type: ignore[misc]
        assert isinstance(found, tuple) and (tmp_path / found[0][:2] / found[0]).read_bytes() == content


def test_a_badge_key_that_a_power_cut_left_empty_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "badge.key").touch()
    made = _badge_key(tmp_path / "badge.key")
    assert len(made) == 32 and _badge_key(tmp_path / "badge.key") == made


# --- telemetry ----------------------------------------------------------------------------------------------------------------------
def put(store: DuckdbStore, n: int) -> None:
    number = store.register("SAW-01", "x")
    store.append(Samples(np.array([number], np.int32), np.array([n * 1000], np.int64), np.array([1.0])), {KEY: n})


def held(store: DuckdbStore) -> tuple[int, int]:
    """(samples, mark)"""
    return len(store.window("SAW-01", "x", 0, 1 << 50).ts), store.marks().get(KEY, 0)


def test_telemetry_that_could_not_be_opened_again_is_opened_at_the_next_try(tmp_path: Path) -> None:
    """A failed checkpoint makes the file be opened again, and that may fail too while the disk is full; it must not stay closed for ever."""
    store = DuckdbStore(tmp_path / "t.duckdb")
    store.open()
    put(store, 1)
    store._connection.close()  # what a failed opening leaves behind
    with pytest.raises(TelemetryFailed):
        put(store, 2)
    put(store, 2)
    assert held(store) == (2, 2)
    store.close()


def test_a_merge_of_rollups_that_fails_is_not_told_as_a_failed_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was appended before it is stored: told as failed, it would be sent and counted twice."""
    monkeypatch.setattr(duckdb_store, "MERGE_AFTER_ROWS", 0)
    well = duckdb_store._MERGE
    store = DuckdbStore(tmp_path / "t.duckdb")
    store.open()
    monkeypatch.setattr(duckdb_store, "_MERGE", "select error('no space')")
    put(store, 1)
    put(store, 2)
    monkeypatch.setattr(duckdb_store, "_MERGE", well)
    put(store, 3)
    assert held(store) == (3, 3) and store.rollup("SAW-01", "x", 0, 60_000, 1).n.tolist() == [3]
    store.close()


def test_two_backups_at_once_each_get_their_copy(tmp_path: Path) -> None:
    store = DuckdbStore(tmp_path / "t.duckdb")
    store.open()
    put(store, 1)
    door, ended = CopyDoor(store, tmp_path), threading.Event()

    def serve() -> None:
        while not ended.wait(0.05):
            asyncio.run(door.look())

    server = threading.Thread(target=serve)
    server.start()
    try:
        for round_ in range(3):
            targets = [tmp_path / f"copy-{round_}-{number}.duckdb" for number in range(3)]
            answers = at_once(lambda number, targets=targets: ask_for_copy(tmp_path, targets[number], wait_s=15 * PATIENCE, pause_s=0.01), 3)  # type: ignore[misc]
            assert answers == [None] * 3 and all(target.is_file() for target in targets)
    finally:
        ended.set()
        server.join()
        store.close()
