"""Telemetry in InfluxDB 2: the only door of influxdb_client. Measurement `sample`, tags device and metric, field `v`, milliseconds.

Not transactional: points go first, then the marks (measurement `mark`, one point an edge and epoch). A crash between the two writes the same points
again, which InfluxDB takes as the same points. The bucket needs unlimited retention for the marks; roll-ups are computed by the server from raw.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from mes_server.telemetry.errors import TelemetryFailed
from mes_server.telemetry.store import Buckets, Samples, SeriesInfo, StreamKey, Window, bucket_width_ms, empty_buckets

LINES_MAX = 10_000  # of one request
MARK_MS = 1  # all marks are at this moment, so that a new one replaces the old
FOREVER_MS = 4_102_444_800_000  # 2100
TIMEOUT_MS = 30_000
_PLAIN = "map(fn: (r) => ({t: int(v: r._time), v: r._value}))"  # ns and value
_FAILURES = (ApiException, HTTPError, OSError, ValueError, KeyError)


class InfluxStore:
    """`prefix` goes before the measurements' names: several plants, or tests, in one bucket."""

    kind = "influx"

    def __init__(self, url: str, token: str, org: str, bucket: str, *, prefix: str = "") -> None:
        self._client = InfluxDBClient(url=url, token=token, org=org, timeout=TIMEOUT_MS)
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)
        self._bucket = bucket
        self._samples = f"{prefix}sample"
        self._marks = f"{prefix}mark"
        self._ids: dict[tuple[str, str], int] = {}  # this process's own numbers: InfluxDB knows series by their tags
        self._keys: list[tuple[str, str]] = []
        self._heads: list[str] = []

    def open(self) -> None:
        """InfluxDB may come later: what cannot be written waits at the edges."""

    # --- writing ----------------------------------------------------------------------------------------------------------------
    def register(self, device: str, metric: str) -> int:
        found = self._ids.get((device, metric))
        if found is None:
            found = self._ids[(device, metric)] = len(self._keys)
            self._keys.append((device, metric))
            self._heads.append(f"{_escape(self._samples)},device={_escape(device)},metric={_escape(metric)} v=")
        return found

    def append(self, samples: Samples, marks: Mapping[StreamKey, int]) -> None:
        heads = self._heads
        rows = zip(samples.series.tolist(), samples.ts.tolist(), samples.value.tolist(), strict=True)
        lines = [f"{heads[series]}{value!r} {ts}" for series, ts, value in rows]
        try:
            for start in range(0, len(lines), LINES_MAX):
                self._write(lines[start : start + LINES_MAX])
            if marks:
                self._write(
                    [f"{_escape(self._marks)},edge={_escape(edge)},epoch={_escape(epoch)} n={n}i {MARK_MS}" for (edge, epoch), n in marks.items()]
                )
        except _FAILURES as error:
            raise TelemetryFailed(why=_words(error)) from error

    def _write(self, lines: list[str]) -> None:
        self._writer.write(bucket=self._bucket, record="\n".join(lines), write_precision=WritePrecision.MS)  # type: ignore[arg-type]

    def drop_before(self, before_ms: int) -> int:
        """-1: InfluxDB does not tell how many."""
        try:
            self._client.delete_api().delete(
                "1970-01-01T00:00:00Z", _rfc3339(before_ms), f'_measurement="{self._samples}"', bucket=self._bucket, org=self._client.org
            )
        except _FAILURES as error:
            raise TelemetryFailed(why=_words(error)) from error
        return -1

    def close(self) -> None:
        self._writer.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]

    # --- reading ----------------------------------------------------------------------------------------------------------------
    def _rows(self, flux: str) -> list[dict[str, str]]:
        """Rows of a Flux query's annotated CSV, annotations skipped."""
        try:
            answer = self._client.query_api().query_raw(flux)
            text = answer.data.decode() if isinstance(answer.data, bytes) else str(answer.data)
        except _FAILURES as error:
            raise TelemetryFailed(why=_words(error)) from error
        rows: list[dict[str, str]] = []
        for block in text.replace("\r\n", "\n").split("\n\n"):
            lines = [line for line in block.split("\n") if line and not line.startswith("#")]
            rows.extend(csv.DictReader(io.StringIO("\n".join(lines))))
        return rows

    def _from(self, device: str, metric: str, from_ms: int, to_ms: int) -> str:
        same = f"r.device == {_quote(device)} and r.metric == {_quote(metric)}"
        return (
            f'from(bucket: "{self._bucket}") |> range(start: {_rfc3339(from_ms)}, stop: {_rfc3339(to_ms)}) '
            f'|> filter(fn: (r) => r._measurement == "{self._samples}" and r._field == "v" and {same})'
        )

    def marks(self) -> dict[StreamKey, int]:
        rows = self._rows(
            f'from(bucket: "{self._bucket}") |> range(start: 1970-01-01T00:00:00Z, stop: 1971-01-01T00:00:00Z) '
            f'|> filter(fn: (r) => r._measurement == "{self._marks}" and r._field == "n") |> last()'
        )
        return {(row["edge"], row["epoch"]): int(row["_value"]) for row in rows}

    def series(self) -> list[SeriesInfo]:
        rows = self._rows(
            f'from(bucket: "{self._bucket}") |> range(start: 1970-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z) '
            f'|> filter(fn: (r) => r._measurement == "{self._samples}") |> first() |> keep(columns: ["device", "metric"])'
        )
        found = {SeriesInfo(row["device"], row["metric"]) for row in rows} | {SeriesInfo(*key) for key in self._keys}
        return sorted(found)

    def window(self, device: str, metric: str, from_ms: int, to_ms: int, *, limit: int = 1_000_000) -> Window:
        low, high = max(from_ms, 0), min(to_ms, FOREVER_MS)
        if low >= high:
            return Window(np.zeros(0, np.int64), np.zeros(0))
        query = f'{self._from(device, metric, low, high)} |> sort(columns: ["_time"]) |> limit(n: {limit}) |> {_PLAIN}'
        rows = self._rows(query)
        return Window(np.array([int(row["t"]) // 1_000_000 for row in rows], np.int64), np.array([float(row["v"]) for row in rows]))

    def latest(self, device: str, metric: str, *, before_ms: int | None = None) -> tuple[int, float] | None:
        query = f"{self._from(device, metric, 0, FOREVER_MS if before_ms is None else before_ms)} |> last() |> {_PLAIN}"
        rows = self._rows(query)
        return (int(rows[0]["t"]) // 1_000_000, float(rows[0]["v"])) if rows else None

    def buckets(self, device: str, metric: str, from_ms: int, to_ms: int, points: int) -> Buckets:
        return self._aggregate(device, metric, from_ms, to_ms, bucket_width_ms(from_ms, to_ms, points), from_ms)

    def rollup(self, device: str, metric: str, from_ms: int, to_ms: int, minutes: int) -> Buckets:
        width = minutes * 60_000
        return self._aggregate(device, metric, -(-from_ms // width) * width, -(-to_ms // width) * width, width, 0)

    def _aggregate(self, device: str, metric: str, from_ms: int, to_ms: int, width: int, origin_ms: int) -> Buckets:
        if from_ms >= to_ms:
            return empty_buckets(width)
        window = f'every: {width}ms, offset: {origin_ms % width}ms, createEmpty: false, timeSrc: "_start"'
        lines = [f"data = {self._from(device, metric, from_ms, to_ms)}"]
        lines += [
            f"data |> aggregateWindow({window}, fn: {name}) "
            f'|> map(fn: (r) => ({{k: "{name}", t: int(v: r._time), v: float(v: r._value)}})) |> yield(name: "{name}")'
            for name in ("count", "min", "mean", "max")
        ]
        found: dict[str, dict[int, float]] = {"count": {}, "min": {}, "mean": {}, "max": {}}
        for row in self._rows("\n".join(lines)):
            found[row["k"]][int(row["t"]) // 1_000_000] = float(row["v"])
        starts = sorted(found["count"])
        columns: list[Any] = [np.array([found[name][start] for start in starts]) for name in ("count", "min", "mean", "max")]
        return Buckets(np.array(starts, np.int64), columns[0].astype(np.int64), columns[1], columns[2], columns[3], width)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ").replace("\n", " ")


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _rfc3339(ms: int) -> str:
    whole = np.datetime64(max(0, ms), "ms")
    return f"{whole}Z"


def _words(error: Exception) -> str:
    reason = getattr(error, "body", None) or str(error)
    return f"InfluxDB: {reason}"[:300]
