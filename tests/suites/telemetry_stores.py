"""The InfluxDB store of the suite: over the server that GEMBA_TEST_INFLUX_URL names; without one it says so loudly and skips."""

from __future__ import annotations

import os

import pytest

from mes_server.telemetry.store import TelemetryStore


def influx_store_or_skip(name: str) -> TelemetryStore:
    url = os.environ.get("GEMBA_TEST_INFLUX_URL")
    if not url:
        pytest.skip("NOT RUN OVER INFLUXDB: set GEMBA_TEST_INFLUX_URL, _TOKEN, _ORG and _BUCKET to an InfluxDB 2 server")
    from mes_server.telemetry.influx_store import InfluxStore

    env = os.environ
    return InfluxStore(
        url,
        env.get("GEMBA_TEST_INFLUX_TOKEN", ""),
        env.get("GEMBA_TEST_INFLUX_ORG", "gemba"),
        env.get("GEMBA_TEST_INFLUX_BUCKET", "gemba"),
        prefix=name,
    )
