"""One suite over every telemetry store: what is promised in telemetry/store.py, held against plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mes_server.telemetry.duckdb_store import DuckdbStore
from mes_server.telemetry.errors import TelemetryInUse
from mes_server.telemetry.memory_store import MemoryStore
from mes_server.telemetry.store import Samples, TelemetryStore, bucketed
from tests.suites.telemetry_stores import influx_store_or_skip

T0 = 1_772_409_600_000  # 2026-03-02 00:00 UTC
KEY = ("EDGE-L1", "0123456789abcdef")
Make = Callable[[], TelemetryStore]


@pytest.fixture(params=["memory", "duckdb", "influx"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes stores over one and the same place, so that a test may close one and open it again."""
    opened: list[TelemetryStore] = []
    memory = MemoryStore()

    def build() -> TelemetryStore:
        store: TelemetryStore = (
            memory
            if request.param == "memory"
            else DuckdbStore(tmp_path / "t.duckdb")
            if request.param == "duckdb"
            else influx_store_or_skip(tmp_path.name)
        )
        store.open()
        opened.append(store)
        return store

    yield build
    for store in opened:
        store.close()


def put(store: TelemetryStore, device: str, metric: str, ts: np.ndarray, value: np.ndarray, mark: int) -> None:
    number = store.register(device, metric)
    store.append(Samples(np.full(len(ts), number, np.int32), ts.astype(np.int64), value.astype(float)), {KEY: mark})


def noise(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return T0 + np.arange(n) * 1_000 + rng.integers(0, 900, n), np.round(rng.normal(50, 9, n), 2)


def test_what_is_appended_can_be_read(make: Make) -> None:
    store = make()
    ts, value = noise(5_000)
    put(store, "M-SAW-01", "power_w", ts, value, 7)
    put(store, "M-SAW-01", "power_factor", ts[:10], value[:10], 8)
    found = store.window("M-SAW-01", "power_w", T0, T0 + 10**9)
    assert np.array_equal(found.ts, ts) and np.array_equal(found.value, value)
    half = store.window("M-SAW-01", "power_w", int(ts[100]), int(ts[200]))
    assert np.array_equal(half.ts, ts[100:200]), "from inclusive, to exclusive"
    assert len(store.window("M-SAW-01", "power_w", T0, T0 + 10**9, limit=17).ts) == 17
    assert set(store.series()) == {("M-SAW-01", "power_w"), ("M-SAW-01", "power_factor")}
    assert store.marks() == {KEY: 8}


def test_late_samples_come_out_in_time_order(make: Make) -> None:
    store = make()
    ts, value = noise(3_000)
    order = np.random.default_rng(3).permutation(3_000)
    for part in np.array_split(order, 7):
        put(store, "SAW-01", "temperature_c", ts[part], value[part], 1)
    found = store.window("SAW-01", "temperature_c", T0, T0 + 10**9)
    assert np.array_equal(found.ts, ts) and np.array_equal(found.value, value)


def test_latest(make: Make) -> None:
    store = make()
    ts, value = noise(100)
    put(store, "SAW-01", "x", ts, value, 1)
    assert store.latest("SAW-01", "x") == (int(ts[-1]), float(value[-1]))
    assert store.latest("SAW-01", "x", before_ms=int(ts[50])) == (int(ts[49]), float(value[49]))
    assert store.latest("SAW-01", "x", before_ms=T0 - 1) is None
    assert store.latest("SAW-01", "nothing") is None


@pytest.mark.parametrize("points", [1, 7, 500, 2_000])
def test_buckets_equal_the_reference(make: Make, points: int) -> None:
    store = make()
    ts, value = noise(4_000)
    hole = (ts < T0 + 1_000_000) | (ts > T0 + 2_000_000)
    put(store, "SAW-01", "x", ts[hole], value[hole], 1)
    low, high = T0 + 500_001, T0 + 3_900_000
    found = store.buckets("SAW-01", "x", low, high, points)
    inside = hole & (ts >= low) & (ts < high)
    wanted = bucketed(ts[inside], value[inside], low, found.width_ms)
    assert len(found.n) <= points and found.width_ms * points >= high - low
    for name in ("start", "n", "low", "high"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert np.allclose(found.mean, wanted.mean, rtol=1e-12)


@pytest.mark.parametrize("minutes", [1, 15])
def test_rollups_equal_raw_however_samples_came(make: Make, minutes: int) -> None:
    store = make()
    ts, value = noise(6_000)
    for part in np.array_split(np.random.default_rng(9).permutation(6_000), 23):
        put(store, "SAW-01", "x", ts[part], value[part], 1)
    found = store.rollup("SAW-01", "x", T0, T0 + 86_400_000, minutes)
    wanted = bucketed(ts, value, 0, minutes * 60_000)
    for name in ("start", "n", "low", "high"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert np.allclose(found.mean, wanted.mean, rtol=1e-12)


def test_unknown_series_are_empty(make: Make) -> None:
    store = make()
    assert len(store.window("nobody", "x", T0, T0 + 1).ts) == 0
    assert len(store.buckets("nobody", "x", T0, T0 + 1_000, 10).n) == 0
    assert len(store.rollup("nobody", "x", T0, T0 + 1_000, 15).n) == 0


def test_closed_and_opened_again_it_still_has_everything(make: Make) -> None:
    store = make()
    ts, value = noise(1_000)
    put(store, "SAW-01", "x", ts, value, 41)
    store.close()
    again = make()
    number = again.register("SAW-01", "x")
    assert np.array_equal(again.window("SAW-01", "x", T0, T0 + 10**9).value, value)
    assert again.marks() == {KEY: 41}
    assert again.register("SAW-01", "y") != number


def test_marks_move_without_samples(make: Make) -> None:
    store = make()
    none = Samples(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))
    store.append(none, {KEY: 3, ("EDGE-L2", "f" * 16): 9})
    store.append(none, {KEY: 4})
    assert store.marks() == {KEY: 4, ("EDGE-L2", "f" * 16): 9}


def test_old_samples_are_forgotten_and_rollups_stay(make: Make) -> None:
    store = make()
    ts, value = noise(4_000)
    put(store, "SAW-01", "x", ts, value, 1)
    border = T0 + 2_000_000
    dropped = store.drop_before(border)
    assert dropped in (int((ts < border).sum()), -1), "-1: the engine does not count what it deletes"
    assert np.array_equal(store.window("SAW-01", "x", 0, 1 << 60).ts, ts[ts >= border])


def test_a_second_process_is_refused_in_words(tmp_path: Path) -> None:
    import subprocess
    import sys

    store = DuckdbStore(tmp_path / "t.duckdb")
    store.open()
    code = (
        "import sys; from pathlib import Path; from mes_server.telemetry.duckdb_store import DuckdbStore; from mes_server.telemetry.errors import *\n"
        "try: DuckdbStore(Path(sys.argv[1])).open()\n"
        "except TelemetryInUse as error: print(error.say('zh'))"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path / "t.duckdb")], capture_output=True, text=True, check=False)
    store.close()
    assert "正被另一个进程使用" in said.stdout, said.stderr
    assert TelemetryInUse(path="x").status == 409


def test_rollup_parts_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mes_server.telemetry.duckdb_store.MERGE_AFTER_ROWS", 50)
    store = DuckdbStore(tmp_path / "t.duckdb")
    store.open()
    ts, value = noise(2_000)
    for part in np.array_split(np.random.default_rng(9).permutation(2_000), 40):
        put(store, "SAW-01", "x", ts[part], value[part], 1)
    found = store.rollup("SAW-01", "x", T0, T0 + 86_400_000, 1)
    wanted = bucketed(ts, value, 0, 60_000)
    assert np.array_equal(found.n, wanted.n) and np.array_equal(found.high, wanted.high)
    rows = store._connection.execute("select count(*) from roll where minutes = 1").fetchall()[0][0]
    assert rows < 40 * len(wanted.n) / 4, "parts were not merged"
    store.close()
