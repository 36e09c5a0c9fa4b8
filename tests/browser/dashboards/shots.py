"""Pictures of every dashboards page in zh and en on three screens, from a running stack: `shoot(url, folder, user, password)`.

The plant's own codes (a machine, an order in work, a serial that exists) are asked from its API, so any plant can be pictured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.dashboards.driver import CHROMIUM_ARGS, Watch, chromium_path, open_page
from tests.browser.dashboards.pages import pages

SCREENS = {"1280x800": (1280, 800), "390x844": (390, 844), "1920x1080": (1920, 1080)}


def shoot(url: str, folder: Path, user: str, password: str) -> list[Path]:
    """Writes `<folder>/dashboards-<page>-<lang>-<screen>.png`; returns the files. Fails when a page shows an error."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGS)
        written = [path for screen in SCREENS for lang in ("zh", "en") for path in _screen(browser, url, folder, (user, password), lang, screen)]
        browser.close()
    return written


def _screen(browser: Browser, url: str, folder: Path, who: tuple[str, str], lang: str, screen: str) -> list[Path]:
    width, height = SCREENS[screen]
    context = browser.new_context(viewport={"width": width, "height": height})
    watch = Watch(context, url)
    answer = context.request.post(f"{url}/api/v1/session", data={"user": who[0], "password": who[1]})
    assert answer.ok, answer.text()
    written = []
    page = context.new_page()
    for name, path in pages(**codes(context, url)).items():
        open_page(page, url + path, lang)
        page.wait_for_timeout(300)  # fonts and canvases paint after the data
        file = folder / f"dashboards-{name}-{lang}-{screen}.png"
        page.screenshot(path=file)
        watch.check(f"{name} ({lang}, {screen})")
        written.append(file)
    context.close()
    return written


def codes(context: BrowserContext, url: str) -> dict[str, str]:
    """A day, machine, line, order and serial of this plant that have something to show."""

    def ask(path: str) -> Any:
        answer = context.request.get(f"{url}/api/v1{path}")
        assert answer.ok, f"{path}: {answer.text()[:300]}"
        return answer.json()

    yesterday = ask("/yesterday")
    plant = ask("/plant")
    machine = yesterday["focus_machine"] or plant["machines"][0]["code"]
    orders = ask("/work-orders?status=in_progress&limit=1")["items"] or ask("/work-orders?limit=1")["items"]
    produced = ask("/journal?type=material.produced&limit=20")["items"]
    serials = [one for row in produced for use in row["payload"].get("effect", {}).get("materials", []) for one in use.get("serials") or []]
    line = next(one["line"] for one in plant["machines"] if one["code"] == machine)
    return {"day": yesterday["day"], "machine": machine, "line": line, "order": orders[0]["number"], "serial": serials[0] if serials else ""}
