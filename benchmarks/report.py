"""Durable reports through HTTP: reports/s and p99 at 8 and 50 clients, a real server process, SQLite's own bare commits/s beside it in the same run.

One report = HTTP, sign-in and rights, validation, idempotency, plausibility, report row, totals, journal record, fsync, answer.
`run()` returns [{name, figure, unit, limit, ratio}]: limit = bare commits/s of the same disk (rates) or the target (times); ratio = figure / limit.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SECONDS = 6.0
WARM_UP_S = 2.0
CLIENTS = (8, 50)
OPERATIONS = 10  # orders that are reported on at the same time
P99_TARGET_MS = 120.0
CPU_TARGET_US = 1_250.0  # 800 reports/s on one core


def run() -> list[dict[str, Any]]:
    """Starts a server in a temporary folder, loads it, stops it."""
    folder = Path(tempfile.mkdtemp(prefix="gemba-bench-"))
    try:
        with _Server(folder) as server:
            figures = {count: asyncio.run(_load(server, count)) for count in CLIENTS}
            errors = sum(found["errors"] for found in figures.values())
        bare = bare_commits(folder / "bare.db")
        rows = []
        for count, found in figures.items():
            rate, p99_ms = found["rate"], found["p99_ms"]
            rows.append(_row(f"report_rate_{count}_clients", rate, "reports/s", bare))
            rows.append(_row(f"report_p50_{count}_clients", found["p50_ms"], "ms", P99_TARGET_MS))
            rows.append(_row(f"report_p99_{count}_clients", p99_ms, "ms", P99_TARGET_MS))
            rows.append(_row(f"report_cpu_{count}_clients", found["cpu_us"], "µs server CPU a report", CPU_TARGET_US))
        rows.append(_row("sqlite_bare_commits", bare, "commits/s", bare))
        rows.append(_row("report_errors", float(errors), "answers", 0.0))
        return rows
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _row(name: str, figure: float, unit: str, limit: float) -> dict[str, Any]:
    return {"name": name, "figure": round(figure, 2), "unit": unit, "limit": round(limit, 2), "ratio": round(figure / limit, 4) if limit else None}


def bare_commits(path: Path, seconds: float = 3.0) -> float:
    """Commits a second of three small rows each, WAL and synchronous FULL, nothing else: what the disk and SQLite allow one report a commit."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER)")
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        raw.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            raw.execute("INSERT INTO t (a, b) VALUES ('a report of ten good pieces', 10)")
        raw.execute("COMMIT")
        count += 1
    raw.close()
    return count / seconds


# --- the server ---------------------------------------------------------------------------------------------------------------------------
class _Server:
    """A real server process with one plant and its orders."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.port = _free_port()
        self.token = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _Server:
        environment = {**os.environ, "GEMBA_BROKER__KIND": "none", "GEMBA_TELEMETRY__KIND": "memory"}
        command = [sys.executable, "-m", "mes_server"]
        secret = secrets.token_urlsafe(18)
        password = self.data.with_name("password")
        password.write_text(secret)
        init = [*command, "init", "--data", str(self.data), "--admin-user", "bench", "--admin-password-file", str(password), "--admin-name", "Bench"]
        subprocess.run(init, env=environment, capture_output=True, check=True)
        log = (self.data / "bench.log").open("wb")
        serve = [*command, "serve", "--data", str(self.data), "--port", str(self.port), "--log-level", "warning"]
        self._process = subprocess.Popen(serve, env=environment, stdout=log, stderr=log)
        self._wait_ready()
        self.token = self.call("POST", "/session", {"user": "bench", "password": secret})["token"]
        _prepare(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def cpu_s(self) -> float:
        """CPU seconds the server process has used (all threads)."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _wait_ready(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError((self.data / "bench.log").read_text()[-2_000:])

    def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v1{path}", json.dumps(body).encode(), method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _envelope(**fields: Any) -> dict[str, Any]:
    return {"event_id": str(uuid.uuid4()), "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields}


def _prepare(server: _Server) -> None:
    machine = {
        "code": "DEB-01",
        "name_zh": "去毛刺",
        "name_en": "Deburr",
        "line": "L1",
        "sequence": 1,
        "machine_class": "deburr",
        "counting": "person",
    }
    plant = {
        "site": {"code": "S", "name_zh": "厂", "name_en": "Site", "zone": "Asia/Shanghai"},
        "lines": [{"code": "L1", "name_zh": "线", "name_en": "Line"}],
        "machines": [machine],
        "stations": [],
        "meters": [],
        "shifts": [],
        "reasons": [],
        "alarms": [],
    }
    server.call("PUT", "/plant", _envelope(model=plant))
    step = {"number": 40, "name_zh": "去毛刺", "name_en": "Deburr", "machine_class": "deburr", "counting": "person", "cycle_s": 30, "setup_s": 0}
    item = {"code": "P-1", "name_zh": "泵", "name_en": "Pump", "routing": {"revision": "A", "operations": [step]}}
    server.call("PUT", "/items/P-1", _envelope(item=item))
    for index in range(OPERATIONS):
        server.call("POST", "/work-orders", _envelope(number=f"WO-{index}", item="P-1", quantity=900_000))
        server.call("POST", "/acts", _envelope(type="operation.start", operation=f"WO-{index}/40", machine="DEB-01"))


# --- the load -----------------------------------------------------------------------------------------------------------------------------
async def _load(server: _Server, clients: int) -> dict[str, Any]:
    """Closed loop: every client sends its next report when the last is answered."""
    took: list[float] = []
    errors = 0
    begin = time.perf_counter() + WARM_UP_S
    end = begin + SECONDS

    async def client(number: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = (
            f"POST /api/v1/acts HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {server.token}\r\nContent-Type: application/json\r\nContent-Length: "
        )
        while (now := time.perf_counter()) < end:
            operation = f"WO-{number % OPERATIONS}/40"
            body = json.dumps(_envelope(type="production.report", operation=operation, machine="DEB-01", good=1, confirmed=True)).encode()
            writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answer.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            done = time.perf_counter()
            if not answer.startswith(b"HTTP/1.1 200"):
                errors += 1
            elif now >= begin:
                took.append(done - now)
        writer.close()
        await writer.wait_closed()

    used = server.cpu_s()
    await asyncio.gather(*(client(number) for number in range(clients)))
    used = server.cpu_s() - used
    took.sort()
    reports = len(took) * (SECONDS + WARM_UP_S) / SECONDS
    return {
        "cpu_us": used / reports * 1e6,
        "rate": len(took) / SECONDS,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[int(len(took) * 0.99)] * 1000,
        "errors": errors,
    }


if __name__ == "__main__":
    for one in run():
        print(json.dumps(one))
