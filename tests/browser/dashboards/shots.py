"""Pictures of every dashboards page in zh and en on three screens, from a running stack: `shoot(url, folder, user, password)`.

The plant's own codes (a machine, an order in work, a serial that exists) are asked from its API, so any plant can be pictured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

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
    context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN" if lang == "zh" else "en-GB")
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
    if screen == "1280x800":
        written += _dialogs(page, url, folder, f"{lang}-{screen}", lang)
        watch.check(f"dialogs ({lang})")
    context.close()
    return written


def _dialogs(page: Page, url: str, folder: Path, suffix: str, lang: str) -> list[Path]:
    """An edge box that gets its one-time code, and an exchanged meter before it is confirmed (it is not)."""
    zh = lang == "zh"
    open_page(page, f"{url}/dashboards/people?tab=devices", lang)
    page.get_by_role("button", name="登记终端" if zh else "Enrol a device").click()
    page.locator(".modal input").first.fill("EDGE-L3")
    page.locator(".modal select").first.select_option("edge")
    page.locator(".modal button[type=submit]").click()
    page.locator(".modal .command").wait_for()
    edge = folder / f"dashboards-edge-code-{suffix}.png"
    page.screenshot(path=edge)
    open_page(page, f"{url}/dashboards/energy", lang)
    asked = {"meter": "COMP-01", "at": "2026-01-01T00:00:00Z", "old_import_wh": "1e14", "new_import_wh": "0"}
    asked["at"] = page.request.get(f"{url}/api/v1/plant/now").json()["at"]
    shown = page.request.get(f"{url}/api/v1/energy/swaps/preview", params=asked).json()["seen_wh"]  # what stands on its display
    row = page.locator("tr", has_text="COMP-01")
    row.get_by_role("button", name="换表" if zh else "Exchange").click()
    for name, value in (("old", f"{shown / 1000 + 0.4:.1f}"), ("new", "0.4"), ("reason", "检定到期" if zh else "verification period ended")):
        page.fill(f"[name={name}]", value)
    page.locator(".modal button[type=submit]").click()
    page.locator("[data-test=consequence]").wait_for()
    swap = folder / f"dashboards-meter-exchange-{suffix}.png"
    page.screenshot(path=swap)
    return [edge, swap]


def shoot_arrival(url: str, folder: Path, user: str, password: str) -> list[Path]:
    """The bar over every page while history still comes in: to be called early."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGS)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        assert context.request.post(f"{url}/api/v1/session", data={"user": user, "password": password}).ok
        page = context.new_page()
        for lang in ("zh", "en"):
            open_page(page, f"{url}/dashboards/now", lang)
            if page.locator(".history").is_visible():
                file = folder / f"dashboards-history-{lang}-1280x800.png"
                page.screenshot(path=file)
                written.append(file)
        browser.close()
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
