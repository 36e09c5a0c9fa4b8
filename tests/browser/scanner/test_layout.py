"""zh and en hold the same layout on tablet, upright tablet and phone: nothing wider than the screen, no word cut off, targets for gloves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.scanner.floor import Floor
from tests.browser.scanner.tablet import Tablet

pytestmark = pytest.mark.services
TabletOf = Callable[..., Tablet]
SIZES = {"tablet": (1280, 800), "upright": (800, 1280), "phone": (390, 844)}
SHEETS = ("act-stop", "act-help", "act-material", "act-check", "act-pause", "act-handover", "open-pad", "scrap-more", "strip-net", "strip-person")
SHOWN = "[...document.querySelectorAll('button')].filter((one) => one.offsetParent)"
CUT_OFF = f"""() => {SHOWN}
  .filter((one) => one.scrollWidth > one.clientWidth + 2 || one.scrollHeight > one.clientHeight + 2).map((one) => one.innerText)"""
SMALL = f"""(least) => {SHOWN}.map((one) => [one.innerText, one.getBoundingClientRect()])
  .filter(([, box]) => box.height < least - 0.5 || box.width < least - 0.5)
  .map(([text, box]) => `${{text}} ${{Math.round(box.width)}}x${{Math.round(box.height)}}`)"""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_nothing_overflows_and_every_target_fits_a_glove(tablet: TabletOf, floor: Floor, size: str, lang: str) -> None:
    floor.run()
    floor.state("DEB-01", "fault", ago_s=250, alarm="2041")
    width, height = SIZES[size]
    one = tablet(lang=lang, width=width, height=height, badge="OP03" if lang == "en" else "OP01")
    one.see("stop-banner")
    wrong: list[str] = []

    def look(where: str) -> None:
        one.page.wait_for_timeout(150)
        if one.overflow():
            wrong.append(f"{where}: {one.overflow()} px too wide")
        wrong.extend(f"{where}: cut off: {text!r}" for text in one.page.evaluate(CUT_OFF))
        if size != "phone":
            wrong.extend(f"{where}: small: {text!r}" for text in one.page.evaluate(SMALL, 88))

    look("home with a stop")
    one.tap("stop-later")
    look("home")
    for opener in SHEETS:
        one.tap(opener)
        one.see("sheet")
        look(opener)
        one.tap("sheet-close")
    one.scan(floor.code("operation", "WO-1002/40"))
    one.see("start")
    look("change over")
    one.tap("sheet-close")
    one.scan(floor.code("lot", "LOT-7"))
    one.see("consume")
    look("consume")
    assert wrong == []


def test_language_switches_without_losing_the_screen(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("open-pad")
    one.tap("open-pad")
    one.tap("key-7")
    one.tap("strip-lang")
    assert "Good +7" in one.text("pad-good")
    one.tap("strip-lang")
    assert "合格 +7" in one.text("pad-good")


def test_tiles_stay_where_they_are(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-1")
    order = "() => [...document.querySelectorAll('[data-test^=chip-], [data-test^=scrap-]')].map((one) => one.dataset.test)"
    before = one.page.evaluate(order)
    for _ in range(6):
        one.tap("scrap-porosity")
    one.drained()
    one.page.wait_for_timeout(600)
    assert one.page.evaluate(order) == before


def test_a_machine_counted_operation_has_no_chips_and_moves_scrap(tablet: TabletOf, floor: Floor) -> None:
    floor.run("WO-1001/50", "WSH-01")
    one = tablet(station="ST-FIN")
    one.tap("tab-WSH-01")
    one.see("by-machine")
    assert not one.sees("chip-1")
    one.tap("scrap-burr")
    one.wait_number("scrap", 1)
    one.drained()
    operation = floor.operation("WO-1001/50")
    assert (operation["good"], operation["scrap"]) == (-1, 1) or operation["scrap"] == 1
