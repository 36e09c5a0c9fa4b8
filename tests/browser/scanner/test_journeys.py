"""Each row of the table in docs/screens (taps and scans, at most) that is built: counted, and red above the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.scanner.floor import PIN, STOPS, Floor
from tests.browser.scanner.tablet import Tablet
from tests.support.wait import eventually

pytestmark = pytest.mark.services
TabletOf = Callable[..., Tablet]


def at_most(tablet: Tablet, *, scans: int, taps: int) -> None:
    assert (tablet.scans, tablet.taps) <= (scans, taps) and tablet.taps <= taps, (
        f"{tablet.scans} scans + {tablet.taps} taps, at most {scans} + {taps}"
    )


def test_log_in_is_one_scan_and_a_second_badge_switches(tablet: TabletOf, floor: Floor) -> None:
    one = tablet(badge="OP01")
    one.tap("strip-person")
    one.tap("sign-off")
    one.see("login")
    one.reset()
    one.scan(floor.badge("OP01"))
    one.see("home")
    at_most(one, scans=1, taps=0)
    one.reset()
    one.scan(floor.badge("OP02"))
    one.wait_text("strip-person", "李明")
    at_most(one, scans=1, taps=0)


def test_a_tablet_is_enrolled_by_its_code_and_a_person_without_badge_signs_in(browser: Any, floor: Floor) -> None:
    """The address of the QR code enrols it; name and PIN on our own keys: one tap to ask, one for the name, six digits."""
    made = floor.api.post("/devices/enrolment", json={"name": "Tablet DEB", "station": "ST-DEB", "kind": "tablet"}).json()
    one = Tablet.open(browser, floor, badge=None, station=None, path=f"?enrol={made['code']}&lang=zh", first="band")
    one.see("login")
    one.reset()
    one.tap("no-badge")
    one.page.get_by_text("李明").first.click()
    for digit in PIN:
        one.tap(f"key-{digit}")
    one.see("home")
    one.wait_text("strip-person", "李明")
    assert one.taps <= 1 + len(PIN)
    one.close()


def test_start_is_one_scan_and_one_tap(tablet: TabletOf, floor: Floor) -> None:
    one = tablet()
    one.scan(floor.code("operation", "WO-1001/40"))
    one.see("start")
    one.tap("start")
    one.see("good")
    at_most(one, scans=1, taps=1)
    eventually(lambda: floor.operation("WO-1001/40")["status"] == "running", 10)
    assert floor.operation("WO-1001/40")["runs"][0]["person"] == "OP01"


def test_ten_good_and_one_scrap_are_two_taps_and_the_journal_says_so(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-10")
    one.tap("chip-10")
    one.tap("scrap-burr")
    one.wait_number("good", 10)
    one.wait_number("scrap", 1)
    at_most(one, scans=0, taps=2)
    one.drained()
    reports = floor.journal("production.reported")
    assert [(r["payload"]["command"]["good"], r["payload"]["command"]["scrap"], r["payload"]["command"]["reason"]) for r in reports] == [
        (10, 0, None),
        (0, 1, "burr"),
    ]
    assert {r["person"] for r in reports} == {"OP01"}
    operation = floor.operation("WO-1001/40")
    assert (operation["good"], operation["scrap"]) == (10, 1)


def test_two_scrap_are_three_taps_in_all_and_one_event(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-10")
    for what in ("chip-10", "scrap-burr", "scrap-burr"):
        one.tap(what)
    one.wait_number("scrap", 2)
    at_most(one, scans=0, taps=3)
    one.drained()
    assert [r["payload"]["command"]["scrap"] for r in floor.journal("production.reported")] == [0, 2]


def test_why_did_it_stop_is_one_tap_on_a_banner_that_comes_by_itself(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-10")
    floor.state("DEB-01", "fault", ago_s=250, alarm="2041")
    floor.server.kit.live.publish("stop:DEB-01", {"machine": "DEB-01"})
    banner = one.see("stop-banner", timeout_s=5)
    assert "2041" in banner.inner_text() and "断刀" in one.text("stop-reason"), "the alarm's usual reason has the first slot"
    one.tap("chip-1")  # counting goes on
    one.reset()
    chosen = one.page.locator("[data-test=stop-reason]").nth(1).inner_text()
    one.tap("stop-reason", at=1)
    one.gone("stop-banner")
    at_most(one, scans=0, taps=1)
    one.drained()
    assert floor.journal("stop.explained")[-1]["payload"]["command"]["reason"] == next(code for code, zh, _ in STOPS if zh == chosen)


def test_undo_is_one_tap_and_leaves_plus_then_minus(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-10")
    one.tap("chip-10")
    one.wait_number("good", 10)
    one.reset()
    one.tap("undo")
    one.wait_number("good", 0)
    at_most(one, scans=0, taps=1)
    one.drained()
    assert len(floor.journal("production.reported")) == 1 and len(floor.journal("production.undone")) == 1
    assert floor.operation("WO-1001/40")["good"] == 0
    one.wait_number("good", 0)


def test_change_over_is_one_scan_and_two_taps(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-10")
    one.scan(floor.code("operation", "WO-1002/40"))
    one.see("old-pause")
    one.tap("old-pause")
    one.tap("start")
    at_most(one, scans=1, taps=2)
    one.drained()
    assert floor.operation("WO-1001/40")["status"] == "interrupted" and floor.operation("WO-1002/40")["status"] == "running"


def test_call_help_is_two_taps(tablet: TabletOf, floor: Floor) -> None:
    one = tablet()
    one.tap("act-help")
    one.tap("help-maintenance")
    at_most(one, scans=0, taps=2)
    one.see("call")
    one.drained()
    assert floor.journal("help.called")[0]["payload"]["command"]["kind"] == "maintenance"
    one.tap("act-help")
    one.tap("came")
    one.gone("call")
    one.drained()
    assert len(floor.journal("help.answered")) == 1


def test_handover_is_two_taps_out_one_scan_and_a_tap_in(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-10")
    one.reset()
    one.tap("act-handover")
    one.tap("hand-over")
    one.see("login")
    at_most(one, scans=0, taps=2)
    assert floor.operation("WO-1001/40")["status"] == "running", "the machine goes on"
    one.reset()
    one.scan(floor.badge("OP02"))
    one.see("take-over")
    one.tap("take-over")
    one.see("home")
    at_most(one, scans=1, taps=1)


def test_defect_with_photo_is_one_scan_and_four_taps(camera_tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = camera_tablet()
    one.see("chip-10")
    one.reset()
    one.scan(floor.code("lot", "LOT-7"))
    one.see("lot-check")
    one.tap("lot-defect")
    one.tap("defect-code")
    one.tap("shutter")  # waits until the camera is live
    one.see("thumb")
    one.tap("save")
    one.see("home")
    at_most(one, scans=1, taps=4)
    one.drained()
    defect = floor.journal("defect.logged")[0]["payload"]["command"]
    assert defect["subject"] == {"kind": "lot", "code": "LOT-7"} and len(defect["photos"]) == 1
    photo = floor.api.get(f"/photos/{defect['photos'][0]}")
    assert photo.status_code == 200 and photo.content[:2] == b"\xff\xd8" and len(photo.content) <= 400_000


def test_hold_is_one_scan_and_two_taps(tablet: TabletOf, floor: Floor) -> None:
    one = tablet(badge="SU01")
    one.scan(floor.code("lot", "LOT-7"))
    one.see("consume")
    one.tap("lot-hold")
    one.tap("hold-reason")
    at_most(one, scans=1, taps=2)
    one.drained()
    assert floor.api.get("/lots/LOT-7").json()["on_hold"] is True


def test_a_lot_is_consumed_by_one_scan_and_its_quantity_by_our_pad(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-10")
    one.reset()
    one.scan(floor.code("lot", "LOT-7"))
    one.see("consume")
    assert one.text("pad-text").split()[0] == "120", "what is left is offered"
    one.tap("key-4")
    one.tap("key-0")
    one.tap("consume")
    at_most(one, scans=1, taps=3)
    one.drained()
    assert floor.journal("material.consumed")[0]["payload"]["command"]["quantity"] == 40
    assert floor.api.get("/lots/LOT-7").json()["remaining"] == 80


def test_a_new_serial_at_the_packing_place_is_one_scan(tablet: TabletOf, floor: Floor) -> None:
    floor.run("WO-1001/90", "EOL-01")
    one = tablet(station="ST-EOL")
    one.see("chip-1")
    one.reset()
    one.scan(floor.code("serial", "SN-000001"))
    one.wait_text("band-text", "SN-000001")
    at_most(one, scans=1, taps=0)
    one.drained()
    assert floor.api.get("/serials/SN-000001").json()["order"] == "WO-1001"
