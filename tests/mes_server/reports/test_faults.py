"""System health says what is wrong with the server itself: its broker, its jobs, its way to the ERP; mended, it says nothing any more."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mes_server.kit.services import JOBS, Every
from tests.support.ports import free_port
from tests.support.seeing import rows
from tests.support.server import RunningServer, copy_sqlite, make_settings, running_server, sqlite_template
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sqlite_template(tmp_path_factory.mktemp("template"))


@contextmanager
def served(template: Path, folder: Path, **settings: Any) -> Iterator[RunningServer]:
    copy_sqlite(template, folder)
    with running_server(make_settings(folder, **settings)) as server:
        yield server


def parts(server: RunningServer) -> dict[str, dict[str, Any]]:
    return {one["part"]: one for one in rows(server, "/health/system")["server"]["faults"]}


def test_a_broker_that_is_not_there_is_said_in_both_languages(template: Path, tmp_path: Path) -> None:
    port = free_port()
    with served(template, tmp_path, broker__kind="external", broker__port=port) as server:
        eventually(lambda: "cannot be reached" in parts(server)["broker"]["en"], 30)
        said = parts(server)["broker"]
        assert said["grave"] and str(port) in said["en"] and str(port) in said["zh"] and "无法连接" in said["zh"]
        assert said["since_s"] >= 0 and "buffers" in said["next_en"] and "缓存" in said["next_zh"]


def test_a_built_in_broker_that_ends_is_told_until_it_runs_and_for_a_while_after(template: Path, tmp_path: Path) -> None:
    with served(template, tmp_path, broker__kind="embedded", broker__port=0) as server:
        own = server.app.state.ingest.broker
        eventually(lambda: rows(server, "/health/system")["server"]["broker"]["connected"], 30)
        assert parts(server) == {}
        conf = tmp_path / "broker" / "nats.conf"
        good = conf.read_text()
        conf.write_text("no such word: {")  # it cannot be started with this
        os.kill(own.pid, signal.SIGKILL)
        eventually(lambda: own.fault is not None and {"broker", "broker_process"} <= parts(server).keys(), 60)
        said = parts(server)["broker_process"]
        assert said["grave"] and "cannot be started again" in said["en"] and "无法重新启动" in said["zh"]
        assert not rows(server, "/health/system")["server"]["broker"]["connected"]
        conf.write_text(good)
        eventually(lambda: rows(server, "/health/system")["server"]["broker"]["connected"], 120)
        (left,) = parts(server).values()
        assert (left["part"], left["grave"]) == ("broker_process", False) and "started again" in left["en"], "somebody should look why"
        assert rows(server, "/health/system")["server"]["broker"]["restarts"] == own.restarts >= 1


def test_a_job_that_fails_says_so_until_it_works_again() -> None:
    good = asyncio.Event()

    async def job() -> None:
        if not good.is_set():
            raise OSError(28, "No space left on device")

    async def watch() -> None:
        every = Every("journal-sealer", 0.001, job)
        await every.start()
        try:
            async with asyncio.timeout(60):
                while (said := every.fault()) is None or every.failures < 2:
                    await asyncio.sleep(0.001)
                assert "Sealing of the journal" in said.en and "No space left" in said.zh and said.part == "job:journal-sealer"
                good.set()
                while every.fault() is not None:
                    await asyncio.sleep(0.001)
        finally:
            await every.stop()

    asyncio.run(watch())


def test_every_job_of_the_server_has_a_name_for_people(server: RunningServer) -> None:
    assert {one.name for one in server.app.state.jobs} <= JOBS.keys()
    assert len(server.app.state.jobs) >= 3


def test_an_erp_that_is_away_is_told(template: Path, tmp_path: Path) -> None:
    with served(template, tmp_path, erp__kind="http", erp__url=f"http://127.0.0.1:{free_port()}", erp__poll_s=0.2) as server:
        eventually(lambda: "erp" in parts(server), 60)
        said = parts(server)["erp"]
        assert said["en"].startswith("The ERP is not connected.") and said["zh"].startswith("ERP 未连接。")
