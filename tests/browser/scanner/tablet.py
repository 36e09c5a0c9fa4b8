"""A person at a tablet: taps and scans are counted, everything else is looking."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.wait import PATIENCE

if TYPE_CHECKING:
    from tests.browser.scanner.floor import Floor

ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
SCANNER_PAUSE_MS_MAX = 190  # the wedge allows 200
LONGEST_PAUSE = "Math.max(0, ...window.__keys.slice(1).map((at, i) => at - window.__keys[i]))"
SPIES = """
window.__keys = []; window.addEventListener('keydown', (event) => window.__keys.push(event.timeStamp), true);
window.__felt = []; navigator.vibrate = (p) => { window.__felt.push(['vibrate', p]); return true };
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...a) { window.__felt.push(['tone', this.frequency.value]); return start.apply(this, a) };
"""

QUEUE_IS_EMPTY = """async () => {
  const open = indexedDB.open('gemba-scanner')
  const db = await new Promise((done) => { open.onsuccess = () => done(open.result) })
  const count = db.transaction('queue').objectStore('queue').count()
  const n = await new Promise((done) => { count.onsuccess = () => done(count.result) })
  db.close()
  return n === 0
}"""


FIELD_TEXT = "(field) => field instanceof HTMLInputElement ? field.value : null"
WRITE_FIELD = "(field, text) => { field.value = text; field.dispatchEvent(new Event('input', { bubbles: true })); field.focus() }"


def wedge(page: Any, text: str, *, end: str = "Enter") -> int:
    """Types the code as fast as the line takes it and closes it. Returns how many times the machine tore it before.

    On a busy machine the test's driver itself may pause longer between two keys than any scanner does. The tablet then rightly says "not read
    completely", and the driver, as a person would, scans again: only a pause that was measured in the page is forgiven. What the torn burst left in
    a text field, a person takes away.
    """
    field = page.evaluate_handle("document.activeElement")
    written = field.evaluate(FIELD_TEXT)
    for torn in range(6):
        page.evaluate("window.__keys = []")
        page.keyboard.type(text, delay=0)
        page.keyboard.press(end)
        if float(page.evaluate(LONGEST_PAUSE)) < SCANNER_PAUSE_MS_MAX:
            return torn
        page.wait_for_timeout(900)
        if page.locator("[data-test=band-ok]").is_visible():
            page.locator("[data-test=band-ok]").click()
        if field.evaluate(FIELD_TEXT) != written:
            field.evaluate(WRITE_FIELD, written)
    raise AssertionError("this machine is too busy to type like a scanner")


@dataclass
class Tablet:
    """One tablet with its own storage. `taps` and `scans` count what the person did since `reset()`."""

    context: Any
    page: Any
    floor: Floor
    taps: int = 0
    scans: int = 0
    torn: int = 0
    faults: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        browser: Any,
        floor: Floor,
        *,
        station: str | None = "ST-DEB",
        lang: str = "zh",
        width: int = 1280,
        height: int = 800,
        badge: str | None = "OP01",
        path: str | None = None,
        first: str = "login",
        **context: Any,
    ) -> Tablet:
        """A fresh tablet at `station`, signed in by `badge` (None: at the sign-in)."""
        ctx = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, locale="zh-CN" if lang == "zh" else "en-GB", **context)
        ctx.add_init_script(SPIES)
        page = ctx.new_page()
        one = cls(ctx, page, floor)
        page.on("pageerror", lambda error: one.faults.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith((floor.url, "blob:", "data:")) else one.outside.append(request.url))
        page.set_default_timeout(15_000 * PATIENCE)
        page.goto(f"{floor.url}/scanner/{path if path is not None else f'?lang={lang}'}")
        one.see(first)
        if badge is not None:
            one.scan(floor.badge(badge))
            if station is not None:
                one.tap(f"station-{station}")
                one.see("home")
            one.reset()
        return one

    def close(self) -> None:
        self.context.close()
        assert not self.faults, self.faults
        assert not self.outside, f"requests to the outside: {self.outside}"

    def reset(self) -> None:
        self.taps = self.scans = 0

    # --- what a hand does ---------------------------------------------------------------------------------------------------------
    def tap(self, test: str, *, at: int = 0) -> None:
        self.page.locator(f"[data-test={test}]").nth(at).click()
        self.taps += 1

    def scan(self, text: str, *, end: str = "Enter") -> None:
        """A wedge scanner, whatever has the focus."""
        self.scans += 1
        self.torn += wedge(self.page, text, end=end)

    # --- what an eye sees ---------------------------------------------------------------------------------------------------------
    def see(self, test: str, *, timeout_s: float = 10) -> Any:
        found = self.page.locator(f"[data-test={test}]").first
        found.wait_for(state="visible", timeout=timeout_s * PATIENCE * 1000)
        return found

    def gone(self, test: str, *, timeout_s: float = 10) -> None:
        self.page.locator(f"[data-test={test}]").first.wait_for(state="detached", timeout=timeout_s * PATIENCE * 1000)

    def sees(self, test: str) -> bool:
        return bool(self.page.locator(f"[data-test={test}]").first.is_visible())

    def text(self, test: str) -> str:
        return str(self.page.locator(f"[data-test={test}]").first.inner_text())

    def wait_text(self, test: str, part: str, *, timeout_s: float = 10) -> None:
        self.page.locator(f"[data-test={test}]").filter(has_text=part).first.wait_for(state="visible", timeout=timeout_s * PATIENCE * 1000)

    def number(self, test: str) -> int:
        return int(self.text(test))

    def wait_number(self, test: str, value: int, *, timeout_s: float = 10) -> None:
        self.page.locator(f"[data-test={test}]").filter(has_text=re.compile(f"^{value}$")).first.wait_for(
            state="visible", timeout=timeout_s * PATIENCE * 1000
        )

    def felt(self) -> list[Any]:
        return list(self.page.evaluate("window.__felt"))

    def drained(self, *, timeout_s: float = 20) -> None:
        """Everything the tablet had to say has been said."""
        deadline = timeout_s * PATIENCE * 1000
        while deadline > 0:
            if self.page.evaluate(QUEUE_IS_EMPTY):
                return
            self.page.wait_for_timeout(100)
            deadline -= 100
        raise AssertionError("the queue did not empty")

    def overflow(self) -> int:
        """Pixels the page is wider than its window (0: fits)."""
        return int(self.page.evaluate("Math.max(0, document.documentElement.scrollWidth - window.innerWidth)"))
