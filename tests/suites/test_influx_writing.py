"""The write half of InfluxStore against a server that speaks InfluxDB's write API: Debian's victoria-metrics; read back over its own query API."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mes_server.telemetry.errors import TelemetryFailed
from mes_server.telemetry.influx_store import InfluxStore
from mes_server.telemetry.store import Samples
from tests.support.ports import free_port
from tests.support.wait import eventually

pytestmark = pytest.mark.services


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("victoria-metrics")
    if program is None:
        pytest.skip("victoria-metrics is not installed: apt-get install victoria-metrics")
    port = free_port()
    command = [program, f"-storageDataPath={tmp_path / 'vm'}", f"-httpListenAddr=127.0.0.1:{port}"]
    command += ["-retentionPeriod=10y", "-search.latencyOffset=0s"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def up() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        eventually(up, 15)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def export(url: str, selector: str) -> list[dict[str, object]]:
    urllib.request.urlopen(f"{url}/internal/force_flush", timeout=10).close()
    query = urllib.parse.urlencode({"match[]": selector})
    with urllib.request.urlopen(f"{url}/api/v1/export?{query}", timeout=10) as answer:
        return [json.loads(line) for line in answer.read().splitlines()]


def test_samples_and_marks_arrive(victoria: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = 1_772_409_600_000
    store = InfluxStore(victoria, "token", "gemba", "gemba")
    store.open()
    ts = now_ms + np.arange(2_500) * 1_000
    value = np.round(np.random.default_rng(1).normal(50, 9, 2_500), 2)
    monkeypatch.setattr("mes_server.telemetry.influx_store.LINES_MAX", 1_000)
    monkeypatch.setattr("mes_server.telemetry.influx_store.MARK_MS", now_ms)  # victoria-metrics keeps nothing from 1970
    series = store.register("M-SAW-01", "power_w")
    odd = store.register("SAW-01", "spindle speed, x=1")
    store.append(Samples(np.full(2_500, series, np.int32), ts, value), {("EDGE-L1", "0" * 16): 77})
    store.append(Samples(np.full(1, odd, np.int32), ts[:1], value[:1]), {})
    (found,) = eventually(lambda: export(victoria, '{__name__="sample_v",device="M-SAW-01"}'), 15)
    assert found["timestamps"] == ts.tolist() and found["values"] == value.tolist()
    (strange,) = export(victoria, '{device="SAW-01"}')
    assert strange["metric"]["metric"] == "spindle speed, x=1"  # type: ignore[index]
    (mark,) = export(victoria, '{edge="EDGE-L1"}')
    assert mark["values"] == [77]
    store.close()


def test_a_server_that_is_not_there_is_said_in_words() -> None:
    store = InfluxStore(f"http://127.0.0.1:{free_port()}", "token", "gemba", "gemba")
    number = store.register("M-SAW-01", "power_w")
    with pytest.raises(TelemetryFailed) as failed:
        store.append(Samples(np.full(1, number, np.int32), np.array([1]), np.array([1.0])), {})
    assert "InfluxDB" in failed.value.say("zh")
    store.close()
