"""Sign-in, the live stream, silence, the wall, people and devices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from edge_agent.contract.clock import iso
from mes_server.kit.services import Every
from mes_server.machine_states.watcher import StopWatcher
from tests.browser.dashboards.driver import Watch, open_page, signed_in
from tests.browser.dashboards.stage import MIN, PASSWORD, Stage, set_up_admin, stage
from tests.support.seeing import feed, history, rows
from tests.support.server import copy_sqlite, make_settings, running_server

Desk = tuple[BrowserContext, Watch]
# Every text of the wall's picture: [text, font size in px, whether it is one of the big figures].
FONTS = """() => [...document.querySelectorAll('.picture *')]
    .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .map(one => [one.textContent.trim(), parseFloat(getComputedStyle(one).fontSize), !!one.closest('.big, strong') && !one.closest('footer')])"""


def test_a_new_system_gets_its_first_administrator(browser: Browser, template: Path, tmp_path: Path) -> None:
    """The one-time token from the server's first start, typed into the page that a new system opens with."""
    copy_sqlite(template, tmp_path)
    with running_server(make_settings(tmp_path)) as server:
        token = set_up_admin(server)
        context = browser.new_context(locale="en-GB")
        page = context.new_page()
        page.goto(f"{server.url}/dashboards/")
        expect(page).to_have_url(re.compile("/setup"))
        for name, value in (("token", token), ("name", "Boss"), ("user", "boss"), ("password", PASSWORD), ("again", PASSWORD)):
            page.fill(f"[name={name}]", value)
        page.get_by_role("button", name="Create the administrator").click()
        expect(page.get_by_role("heading", name="There is no plant model yet")).to_be_visible()
        context.close()


def test_sign_in_in_words_and_landing_by_role(browser: Browser, plant: Stage) -> None:
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"{plant.url}/dashboards/losses?scope=line:L1")
    expect(page).to_have_url(re.compile("/signin"))
    page.fill("[name=user]", "p-mia")
    page.fill("[name=password]", "wrong-password")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_be_visible()
    assert not re.search(r"\d{3}|http|/api", alert.inner_text()), alert.inner_text()
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/dashboards/losses\?.*scope=line:L1"))  # where the link wanted to go; not the sign-in that carries it along
    page.goto(f"{plant.url}/dashboards/")
    expect(page).to_have_url(re.compile("/yesterday"))  # a manager's home
    expect(page.locator("nav a", has_text="People")).to_have_count(0)  # not this role's
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/signin"))
    context.close()


def test_an_event_changes_a_tile_without_a_touch(desk: Desk, plant: Stage) -> None:
    """The machine's word shows at once; reason and counts follow with the snapshot."""
    page = desk[0].new_page()
    open_page(page, f"{plant.url}/dashboards/now", "en")
    expect(page.locator(".live")).to_have_attribute("data-state", "live")
    tile = page.locator("[data-machine='LAT-01']")
    expect(tile).to_have_attribute("data-tone", "run")
    now = plant.server.clock.now_ms()
    feed(plant.server, [history("LAT-01", [(now - MIN, "fault", "17")], now - 2 * MIN, now)])
    word = {"code": "LAT-01", "state": "fault", "alarm": "17", "since": iso(now - MIN), "at": iso(now), "stale": False}
    plant.server.kit.live.publish("machine:LAT-01", word)  # as ingest/tiles.py tells it
    expect(tile).to_have_attribute("data-tone", "stop")
    expect(tile).to_contain_text("Fault")


def jump(page: Page, ms: int) -> None:
    """Real seconds pass for the page's timers."""
    page.clock.fast_forward(ms)


def test_silence_turns_everything_grey_and_says_since_when(browser: Browser, template: Path, tmp_path: Path) -> None:
    """The server dies: after 25 s no word, the pages and the wall say how old their data are; nothing keeps looking alive."""
    with stage(template, tmp_path) as plant:
        contexts = [browser.new_context(viewport={"width": 1280, "height": 800}) for _ in range(2)]
        pages = []
        for context, path in zip(contexts, ("/dashboards/now", "/dashboards/wall/L1"), strict=True):
            signed_in(context, plant.url, "en")
            page = context.new_page()
            page.clock.install()
            open_page(page, plant.url + path, "en")
            pages.append(page)
        desk_page, wall = pages
        expect(desk_page.locator(".live")).to_have_attribute("data-state", "live")
        expect(wall.locator("footer i")).to_have_class(re.compile("live"))
    for page in pages:
        jump(page, 27_000)
    expect(desk_page.locator(".live")).to_have_attribute("data-state", "stale")
    expect(desk_page.locator(".live")).to_contain_text("data from 11:00")
    expect(desk_page.locator("main")).to_have_class(re.compile("stale"))
    expect(wall.locator("main")).to_have_class(re.compile("stale"))
    expect(wall.locator("footer")).to_contain_text("Data from 11:00")
    for context in contexts:
        context.close()


@pytest.mark.parametrize("size", [(1920, 1080), (3840, 2160)])
def test_the_wall_can_be_read_from_five_metres(browser: Browser, plant: Stage, size: tuple[int, int]) -> None:
    """Words at least 33 px and numbers at least 66 px of a 1080-line picture; at most 8 tiles and 3 numbers; no name of a person."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height})
    signed_in(context, plant.url, "zh")
    page = context.new_page()
    open_page(page, f"{plant.url}/dashboards/wall/L1", "zh")
    expect(page.locator("article.tile")).to_have_count(5)
    assert page.locator("article.number").count() == 3
    fonts = page.evaluate(FONTS)
    unit = height / 1080
    assert len(fonts) > 20
    assert [row for row in fonts if row[1] < 33 * unit - 0.01] == []
    assert [row for row in fonts if row[2] and row[1] < 66 * unit - 0.01 and not re.fullmatch(r"[■▲▶○◆◇▨]", row[0])] == []
    assert "李安" not in page.inner_text("main")
    context.close()


def test_a_wall_is_enrolled_with_a_code_and_needs_nobody(desk: Desk, browser: Browser, plant: Stage) -> None:
    page = desk[0].new_page()
    open_page(page, f"{plant.url}/dashboards/people?tab=devices", "en")
    page.get_by_role("button", name="Enrol a device").click()
    page.get_by_label("Device name").fill("TV hall 1")
    page.get_by_label("Kind").select_option("wall")
    page.get_by_role("button", name="Make the code").click()
    expect(page.locator(".qr svg")).to_be_visible()
    address = page.locator(".url").inner_text()
    assert "/dashboards/wall/L1?code=" in address
    television = browser.new_context(viewport={"width": 1920, "height": 1080})
    screen = television.new_page()
    screen.goto(address)
    expect(screen.locator("article.tile")).to_have_count(5)
    screen.goto(address.split("?")[0])  # the next day: no code, the kept token does
    expect(screen.locator("article.tile")).to_have_count(5)
    television.close()


def test_system_health_says_what_is_wrong_with_the_server(desk: Desk, plant: Stage) -> None:
    """In both languages, with the next step; nothing while all is well."""
    page, state = desk[0].new_page(), plant.server.app.state
    open_page(page, f"{plant.url}/dashboards/health", "en")
    expect(page.locator("[data-test=faults]")).to_have_count(0)
    failing = Every("stop-watcher", 60.0, StopWatcher(plant.server.kit).look)
    failing.failures = 3
    before, state.jobs = state.jobs, (*state.jobs, failing)
    try:
        said = {"en": ("Watch over stops has failed 3 times", "tried again by itself"), "zh": ("停机监视已连续失败 3 次", "系统会自动重试")}
        for lang, (words, step) in said.items():
            open_page(page, f"{plant.url}/dashboards/health", lang)
            expect(page.locator("[data-part='job:stop-watcher']")).to_contain_text(words)
            expect(page.locator("[data-part='job:stop-watcher']")).to_contain_text(step)
    finally:
        state.jobs = before


def test_a_person_is_added_with_a_role(desk: Desk, plant: Stage) -> None:
    page = desk[0].new_page()
    open_page(page, f"{plant.url}/dashboards/people", "en")
    page.get_by_role("button", name="Add person").click()
    page.get_by_label("Code", exact=True).fill("P-new")
    page.get_by_label("Name", exact=True).fill("New Person")
    page.get_by_label("Role").select_option("inspector")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("tr", has_text="P-new")).to_contain_text("Inspector")


def test_an_exchanged_meter_is_told_after_its_consequence_was_seen(desk: Desk, plant: Stage) -> None:
    """Nonsense is refused in words; the server's figures stand there before the one act; the energy of the day follows."""
    page = desk[0].new_page()
    open_page(page, f"{plant.url}/dashboards/energy?day=2026-03-02", "en")
    row = page.locator("tr", has_text="COMP-01")
    before = row.inner_text()
    row.get_by_role("button", name="Exchange").click()
    for name, value in (("at", "2026-03-02T12:00"), ("old", "sixty"), ("new", "0,5"), ("reason", "verification ended")):
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Show what it changes").click()
    expect(page.get_by_role("alert")).to_contain_text("A reading is a number")
    page.fill("[name=old]", "12")
    page.get_by_role("button", name="Show what it changes").click()
    expect(page.get_by_role("alert")).to_contain_text("kWh")
    page.fill("[name=old]", "66")
    page.get_by_role("button", name="Show what it changes").click()
    expect(page.locator("[data-test=consequence]")).to_contain_text("→")
    page.get_by_role("button", name="Confirm the exchange").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(row).not_to_have_text(before)
    (told,) = rows(plant.server, "/energy/swaps", meter="COMP-01")["items"]
    assert (told["at"], told["old_import_wh"], told["new_import_wh"]) == ("2026-03-02T04:00:00.000Z", 66_000, 500), "in the plant's zone"
    row.get_by_role("button", name="Exchange").click()
    expect(page.locator(".modal tbody")).to_contain_text("verification ended")


def test_an_action_is_assigned_in_the_meeting_and_done(desk: Desk, plant: Stage) -> None:
    """Meeting mode steps through the five blocks with its clock; an action assigned there is in block 5 and can be ticked off."""
    page = desk[0].new_page()
    open_page(page, f"{plant.url}/dashboards/yesterday?day=2026-03-02", "en")
    page.get_by_role("button", name="Meeting 3:00").click()
    meeting = page.locator(".meeting")
    expect(meeting).to_contain_text("1 / 5")
    page.get_by_role("button", name="Next").click()
    expect(meeting).to_contain_text("2 / 5")
    meeting.get_by_role("button", name="Assign action").click()
    page.get_by_label("What is to be done").fill("Sharpen the blade")
    page.get_by_label("Person").fill("Ann")
    page.get_by_role("button", name="Save").click()
    row = page.locator("tr", has_text="Sharpen the blade")
    expect(row).to_contain_text("Ann")
    page.get_by_role("button", name="End meeting").first.click()
    row.get_by_role("button", name="Mark as done").click()
    expect(row.get_by_role("button", name="Open again")).to_be_visible()
