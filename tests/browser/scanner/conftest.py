"""A real Chromium at a real server: `floor` is a small running plant, `tablet(...)` opens the scanner app on it as a person would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.clock import PlantClock
from tests.browser.scanner.floor import Floor, set_up_floor
from tests.browser.scanner.tablet import ARGS, Tablet
from tests.support.server import copy_sqlite, make_settings, running_server, sqlite_template

ROOT = Path(__file__).resolve().parents[3]
FILLED = "2026-03-18T09:00:00+08:00"
START = "2026-03-18T10:00:00+08:00"
NO_BROWSER = "no Chromium here: apt-get install chromium fonts-noto-cjk"


def chromium_path() -> str | None:
    """The machine's Chromium, or the one GEMBA_CHROMIUM names."""
    named = os.environ.get("GEMBA_CHROMIUM")
    return named or next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def web_apps() -> Path:
    """The built scanner app; built now if its sources changed."""
    built = subprocess.run([sys.executable, ROOT / ".ci" / "prepare.py", "web"], capture_output=True, text=True, timeout=280, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return ROOT / "mes_server" / "static"


@pytest.fixture(scope="module")  # its event loop must not outlive the file: other files of the worker run their own
def playwright() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with api.sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")  # its event loop must not outlive the file: other files of the worker run their own
def browser(playwright: Any) -> Iterator[Any]:
    path = chromium_path()
    if path is None:
        pytest.skip(NO_BROWSER)
    running = playwright.chromium.launch(executable_path=path, args=list(ARGS))
    yield running
    running.close()


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server into which the plant was put once, an hour of plant time before the tests begin."""
    folder = tmp_path_factory.mktemp("browser")
    copy_sqlite(sqlite_template(folder), folder / "data")
    clock = PlantClock.parse(FILLED, time.time(), 1.0)
    with running_server(make_settings(folder / "data"), clock) as server:  # type: ignore[arg-type]
        set_up_floor(server)
    return folder / "data"


@pytest.fixture
def floor(web_apps: Path, filled: Path, tmp_path: Path) -> Iterator[Floor]:
    """A running plant of four machines with orders, people and badges; its clock goes on at ×1."""
    shutil.copytree(filled, tmp_path / "data")
    clock = PlantClock.parse(START, time.time(), 1.0)
    with running_server(make_settings(tmp_path / "data"), clock) as server:  # type: ignore[arg-type]
        yield Floor(server, server.client())


@pytest.fixture
def tablet(browser: Any, floor: Floor) -> Iterator[Callable[..., Tablet]]:
    """`tablet(station="ST-FIN", lang="zh", width=1280, height=800)`: a fresh tablet (own storage); signed in with `badge="wang"`."""
    opened: list[Tablet] = []

    def start(**how: Any) -> Tablet:
        one = Tablet.open(browser, floor, **how)
        opened.append(one)
        return one

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def camera_tablet(playwright: Any, floor: Floor, tmp_path: Path) -> Iterator[Callable[..., Tablet]]:
    """Like `tablet`, in a Chromium of its own whose camera shows a film: `camera_tablet(film=Path)`, else Chromium's own test picture."""
    path = chromium_path()
    if path is None:
        pytest.skip(NO_BROWSER)
    opened: list[tuple[Any, Tablet]] = []

    def start(*, film: Path | None = None, **how: Any) -> Tablet:
        camera = [
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            *([f"--use-file-for-fake-video-capture={film}"] if film else []),
        ]
        running = playwright.chromium.launch(executable_path=path, args=[*ARGS, *camera])
        one = Tablet.open(running, floor, permissions=["camera"], **how)
        opened.append((running, one))
        return one

    yield start
    for running, one in opened:
        one.close()
        running.close()
