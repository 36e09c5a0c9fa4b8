"""Pictures of every screen of the scanner app, zh and en, tablet and phone, from a running stack: what `make screenshots` writes to docs/screens/.

    take(url, folder, badges={"zh": "B*…", "en": "B*…"}, station="ST-FIN", operation="O*…", lot="L*…", serial="S*…")

Only looks: nothing is started, reported or saved (the one number it taps is taken back).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.browser.scanner.tablet import ARGS, SPIES, wedge

SIZES = ((1280, 800), (390, 844))
SHEETS = (
    ("stop", "act-stop"),
    ("help", "act-help"),
    ("material", "act-material"),
    ("check", "act-check"),
    ("pause", "act-pause"),
    ("handover", "act-handover"),
    ("queue", "strip-net"),
    ("person", "strip-person"),
)
CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


class Photographer:
    """One tablet of one size and language; `shoot(name)` writes scanner-<name>-<lang>-<width>x<height>.png."""

    def __init__(self, page: Any, folder: Path, suffix: str) -> None:
        self.page = page
        self.folder = folder
        self.suffix = suffix
        self.written: list[Path] = []

    def shoot(self, name: str, wait_ms: int = 350) -> None:
        self.page.wait_for_timeout(wait_ms)
        path = self.folder / f"scanner-{name}-{self.suffix}.png"
        self.page.screenshot(path=str(path))
        self.written.append(path)

    def there(self, test: str) -> bool:
        return bool(self.page.locator(f"[data-test={test}]").first.is_visible())

    def tap(self, test: str) -> None:
        self.page.locator(f"[data-test={test}]").first.click()

    def see(self, test: str, timeout_ms: int = 10_000) -> None:
        self.page.locator(f"[data-test={test}]").first.wait_for(state="visible", timeout=timeout_ms)

    def scan(self, code: str) -> None:
        self.page.wait_for_timeout(300)
        wedge(self.page, code)

    def close(self) -> None:
        if self.there("sheet-close"):
            self.tap("sheet-close")
        self.page.wait_for_timeout(150)


def take(
    url: str,
    folder: Path,
    *,
    badges: Mapping[str, str],
    station: str,
    operation: str | None = None,
    lot: str | None = None,
    serial: str | None = None,
    chromium: str = "/usr/bin/chromium",
) -> list[Path]:
    """Writes the pictures and returns their paths. `badges`: a badge code for each language (a person of that language); codes as scanned."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGS, *CAMERA])
        for lang, badge in badges.items():
            for width, height in SIZES:
                context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, permissions=["camera"])
                context.add_init_script(SPIES)
                page = context.new_page()
                page.set_default_timeout(15_000)
                page.goto(f"{url}/scanner/?lang={lang}")
                one = Photographer(page, folder, f"{lang}-{width}x{height}")
                _walk(one, badge, station, lang, {"start": operation, "consume": lot, "serial": serial})
                written += one.written
                context.close()
        browser.close()
    return written


def _walk(one: Photographer, badge: str, station: str, lang: str, codes: Mapping[str, str | None]) -> None:
    one.see("login")
    one.shoot("login-first")
    one.scan(badge)
    one.see(f"station-{station}")
    one.page.wait_for_timeout(4_200)  # the greeting goes
    if not (one.page.locator("html").get_attribute("lang") or "").startswith(lang):
        one.tap("strip-lang")  # the person signed in is of the other language
    one.shoot("station")
    one.tap(f"station-{station}")
    one.see("home")
    one.shoot("home", 1_500)
    if one.there("stop-later"):
        one.shoot("stop-banner")
        one.tap("stop-later")
        one.shoot("home-stops-open")
    if one.there("chip-1"):
        one.tap("chip-1")
        one.see("undo")
        one.shoot("home-undo")
        one.tap("undo")
        one.page.wait_for_timeout(4_200)
        one.tap("open-pad")
        one.tap("key-2")
        one.shoot("pad")
        one.close()
    for name, opener in SHEETS:
        one.tap(opener)
        one.see("sheet")
        one.shoot(name)
        one.close()
    for name, code in codes.items():
        if code is None:
            continue
        one.scan(code)
        one.see("sheet")
        one.shoot(name)
        if name == "serial" and one.there("defect"):
            one.tap("defect")
            one.see("defect-code")
            one.shoot("defect-code")
            one.tap("defect-code")
            one.shoot("defect-photo", 1_200)
        one.close()
    one.scan("6901234567892")
    one.see("band")
    one.shoot("unknown-code", 600)
    one.tap("strip-person")
    one.tap("open-settings")
    one.shoot("settings")
    one.close()
    one.tap("strip-person")
    one.tap("sign-off")
    one.see("login")
    one.shoot("login")
    one.tap("no-badge")
    one.shoot("no-badge", 900)
