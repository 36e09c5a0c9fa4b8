"""Real Chromium against a real server. The web apps must be built (`make setup` does it)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.dashboards.driver import CHROMIUM_ARGS, Watch, chromium_path, signed_in
from tests.browser.dashboards.stage import Stage, stage
from tests.support.server import sqlite_template

STATIC = Path(__file__).parents[3] / "mes_server" / "static" / "dashboards"


@pytest.fixture(scope="module")  # its event loop must not outlive the file: other files of the worker run their own
def browser() -> Iterator[Browser]:
    assert (STATIC / "index.html").exists(), "the dashboards are not built; run: make setup"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sqlite_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def plant(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(template, tmp_path_factory.mktemp("plant")) as found:
        yield found


@pytest.fixture
def desk(browser: Browser, plant: Stage) -> Iterator[tuple[BrowserContext, Watch]]:
    """A signed-in administrator at a 1280×800 screen, in English; `Watch` collects what must not happen."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    watch = Watch(context, plant.url)
    signed_in(context, plant.url, "en")
    yield context, watch
    context.close()
