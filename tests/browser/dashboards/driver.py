"""How the browser is started and what is watched on every page."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, expect

from tests.browser.dashboards.stage import PASSWORD
from tests.support.wait import PATIENCE

expect.set_options(timeout=10_000 * PATIENCE)

CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Words that show a value nobody thought of.
NONSENSE = re.compile(r"undefined|\bNaN\b|\[object|\bnull\b|Invalid Date|Infinity|\{\w+\}")


def chromium_path() -> str:
    """Debian's Chromium, or the one GEMBA_CHROMIUM names."""
    path = os.environ.get("GEMBA_CHROMIUM", "/usr/bin/chromium")
    assert Path(path).exists(), f"no Chromium at {path}; run as root: apt-get install -y chromium fonts-noto-cjk"
    return path


class Watch:
    """Collects console errors, page errors and requests that leave the server."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self._url = url
        context.on("console", self._console)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._url, "data:", "blob:")):
            self.foreign.append(request.url)

    def check(self, where: str) -> None:
        """Fails with everything seen since the last check."""
        seen, self.errors = self.errors, []
        assert not seen, f"{where}: {seen[:5]}"
        assert not self.foreign, f"{where} asked another host: {self.foreign[:3]}"


def signed_in(context: BrowserContext, url: str, lang: str, user: str = "boss") -> None:
    """Signs in through the public API; the cookie lands in the browser's context."""
    answer = context.request.post(f"{url}/api/v1/session", data={"user": user, "password": PASSWORD})
    assert answer.ok, answer.text()
    context.add_init_script(f"if (location.protocol.startsWith('http')) localStorage.setItem('gemba.lang', {json.dumps(lang)})")


def open_page(page: Page, url: str, lang: str) -> None:
    """Goes there, in that language, and waits until nothing is being read any more."""
    page.goto(f"{url}{'&' if '?' in url else '?'}lang={lang}" if "/wall/" in url else url)
    expect(page.locator(".wall .picture" if "/wall/" in url else "main").first).to_be_visible()
    switch(page, lang)


def switch(page: Page, lang: str) -> None:
    """The page it is on, in that language, with nothing being read any more."""
    button = page.locator(f".lang button[lang='{'zh-CN' if lang == 'zh' else 'en'}']")
    if button.count():
        button.click()
    for _ in range(2):  # a page may learn its window of time first and read its figures then; the app marks itself while it reads
        expect(page.locator("html:not([data-reading])")).to_have_count(1, timeout=20_000 * PATIENCE)
        expect(page.locator(".note[role=status]")).to_have_count(0, timeout=20_000 * PATIENCE)


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
