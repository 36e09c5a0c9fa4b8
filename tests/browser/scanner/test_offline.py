"""What was done without the network, through reloads, arrives: each act once, in order, by the person who did it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.scanner.floor import Floor
from tests.browser.scanner.tablet import Tablet

pytestmark = pytest.mark.services
TabletOf = Callable[..., Tablet]
READY = "navigator.serviceWorker.ready.then(() => true)"


def cut(one: Tablet) -> None:
    """The shell is on the tablet; then the line goes."""
    assert one.page.evaluate(READY)
    one.page.wait_for_timeout(500)
    one.context.set_offline(True)
    one.wait_text("strip-net", "离线", timeout_s=15)


def test_ten_acts_without_network_and_a_reload_in_the_middle_arrive_once(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-1")
    cut(one)
    for tile in ("chip-1", "scrap-burr", "chip-5", "scrap-size", "chip-1"):
        one.tap(tile)
        one.page.wait_for_timeout(120)
    one.page.wait_for_timeout(3200)
    one.page.reload()
    one.see("home", timeout_s=20)
    one.wait_number("good", 7)
    for tile in ("chip-5", "scrap-scratch", "chip-1", "scrap-porosity", "chip-1"):
        one.tap(tile)
        one.page.wait_for_timeout(120)
    one.page.wait_for_timeout(3200)
    assert "待发" in one.text("strip-net")
    one.tap("strip-net")
    one.see("waiting")
    assert one.page.locator("[data-test=waiting]").count() >= 8
    one.tap("sheet-close")
    shown = (one.number("good"), one.number("scrap"))
    one.context.set_offline(False)
    one.drained(timeout_s=40)
    reports = floor.journal("production.reported")
    assert len({report["event_id"] for report in reports}) == len(reports)
    good = sum(report["payload"]["command"]["good"] for report in reports)
    scrap = sum(report["payload"]["command"]["scrap"] for report in reports)
    assert (good, scrap) == shown == (14, 4)
    ids = [report["event_id"] for report in reports]
    assert ids == sorted(ids), "the order of first touches is kept (UUIDv7)"
    operation = floor.operation("WO-1001/40")
    assert (operation["good"], operation["scrap"]) == (14, 4)
    one.wait_number("good", 14)


def test_a_known_badge_works_offline_and_its_acts_are_its_own(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet(badge="OP01")
    one.scan(floor.badge("OP02"))
    one.wait_text("strip-person", "李明")
    one.see("chip-1")
    cut(one)
    one.scan(floor.badge("OP01"))
    one.wait_text("strip-person", "王师傅")
    one.tap("chip-1")
    one.scan(floor.badge("OP02"))
    one.wait_text("strip-person", "李明")
    one.tap("chip-5")
    one.page.wait_for_timeout(3200)
    one.context.set_offline(False)
    one.drained(timeout_s=40)
    said = {report["payload"]["command"]["good"]: report["person"] for report in floor.journal("production.reported")}
    assert said == {1: "OP01", 5: "OP02"}


def test_a_sign_in_that_ran_out_during_the_cut_is_renewed_by_the_same_badge(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-5")
    cut(one)
    one.tap("chip-5")
    one.page.wait_for_timeout(3200)
    floor.server.real.advance(3 * 86_400)  # every session is over
    one.context.set_offline(False)
    one.drained(timeout_s=40)
    assert [report["person"] for report in floor.journal("production.reported")] == ["OP01"]


def test_an_unknown_badge_offline_is_taken_unchecked_and_lands_with_its_holder(tablet: TabletOf, floor: Floor) -> None:
    floor.run()
    one = tablet()
    one.see("chip-1")
    cut(one)
    one.scan(floor.badge("OP03"))
    one.wait_text("strip-person", "未核对")
    one.tap("chip-1")
    one.page.wait_for_timeout(3200)
    one.context.set_offline(False)
    one.drained(timeout_s=40)
    assert [report["person"] for report in floor.journal("production.reported")] == ["OP03"]


def test_start_offline_survives_a_reload_and_a_conflict_goes_to_the_leader(tablet: TabletOf, floor: Floor) -> None:
    one = tablet()
    one.page.get_by_text("本机没有在加工的工序").wait_for()
    cut(one)
    floor.server.act(floor.api, "/work-orders/WO-1001/cancel")  # the planner was first; the tablet cannot know
    one.scan(floor.code("operation", "WO-1001/40"))
    one.tap("start")
    one.page.wait_for_timeout(300)
    one.page.reload()
    one.see("home", timeout_s=20)
    one.page.wait_for_timeout(15_500)  # no longer in front of the person: a refusal belongs on the list
    one.context.set_offline(False)
    one.page.wait_for_timeout(500)
    one.tap("strip-net")
    one.see("refused", timeout_s=30)
    listed = floor.api.get("/decide").json()["items"]
    assert [row["type"] for row in listed] == ["operation.start"]
    one.tap("dismiss")
    one.tap("sheet-close")
    one.scan(floor.badge("SU01"))
    one.wait_text("strip-person", "赵班长")
    one.tap("strip-net")
    one.tap("open-decide")
    one.tap("decide-drop")
    one.gone("decide-drop")
    assert floor.api.get("/decide").json()["items"] == []


@pytest.mark.full
def test_two_tabs_of_one_tablet_send_each_act_once_and_the_other_goes_on_when_one_is_closed(tablet: TabletOf, floor: Floor) -> None:
    """The same tap in both within the time in which taps are joined; the tab that sends is closed while acts wait."""
    floor.run()
    one = tablet()
    two = Tablet(one.context, one.context.new_page(), floor)
    two.page.goto(f"{floor.url}/scanner/?lang=zh")
    two.see("chip-1", timeout_s=30)
    cut(one)
    for tab, tile in ((one, "chip-1"), (two, "chip-1"), (one, "scrap-burr"), (two, "chip-5"), (one, "chip-1"), (two, "chip-1")):
        tab.page.bring_to_front()
        tab.tap(tile)
    one.page.wait_for_timeout(3_200)
    one.page.close()
    two.tap("scrap-burr")
    one.context.set_offline(False)
    two.drained(timeout_s=60)
    operation = floor.operation("WO-1001/40")
    assert (operation["good"], operation["scrap"]) == (9, 2)
    reports = floor.journal("production.reported")
    assert len({report["event_id"] for report in reports}) == len(reports)
    assert floor.api.get("/decide").json()["items"] == [], "nothing was sent twice with other content"
    two.wait_number("good", 9)


def test_a_tap_in_another_tab_while_its_neighbour_is_on_its_way_is_an_act_of_its_own(tablet: TabletOf, floor: Floor) -> None:
    """Joined to what is being sent it would be forgotten with the answer. The other tab's clock is made late: it believes it may still join."""
    floor.run()
    one = tablet()
    two = Tablet(one.context, one.context.new_page(), floor)
    two.page.goto(f"{floor.url}/scanner/?lang=zh")
    two.see("chip-1", timeout_s=30)
    two.page.evaluate("const real = Date.now.bind(Date); Date.now = () => real() - 3500")
    held: list[Any] = []
    released = False
    one.context.route(re.compile(r"/api/v1/acts(/batch)?$"), lambda route: route.continue_() if released else held.append(route))
    one.page.bring_to_front()
    one.tap("chip-1")
    for _ in range(300):
        if held:
            break
        one.page.wait_for_timeout(100)
    assert held, "it is on its way"
    two.page.bring_to_front()
    two.tap("chip-1")
    two.page.wait_for_timeout(300)
    released = True
    for route in held:
        route.continue_()
    two.drained(timeout_s=60)
    assert floor.operation("WO-1001/40")["good"] == 2
    assert floor.api.get("/decide").json()["items"] == []
