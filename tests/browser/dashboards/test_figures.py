"""What the screens say equals what the API says, and every figure opens."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.dashboards.driver import Watch, open_page
from tests.browser.dashboards.pages import PAGES
from tests.browser.dashboards.stage import FIRST_DAY, LOT, SERIAL, Stage
from tests.support.seeing import rows

Desk = tuple[BrowserContext, Watch]


def percent(ratio: float | None, digits: int = 1) -> str:
    return "—" if ratio is None else f"{ratio * 100:,.{digits}f} %"


def day_window(plant: Stage) -> dict[str, str]:
    day = rows(plant.server, "/machines/SAW-01/day", day=FIRST_DAY)
    return {"from_": day["from"], "to": day["to"]}


def test_tiles_and_totals_equal_the_api(desk: Desk, plant: Stage) -> None:
    page = desk[0].new_page()
    open_page(page, f"{plant.url}/dashboards/now", "en")
    found = rows(plant.server, "/plant/now")
    for tile in found["machines"]:
        shown = page.locator(f"[data-machine='{tile['code']}']")
        expect(shown.locator("[data-fig=good]")).to_have_text("—" if tile["good_shift"] is None else f"{tile['good_shift']:,}")
        expect(shown.locator("[data-fig=oee]")).to_have_text(percent(tile["oee_shift"], 0))
        if tile["stale"]:
            expect(shown).to_contain_text("No data")
            expect(shown).to_have_attribute("data-tone", "unknown")
    totals = found["totals"]
    expect(page.locator("[data-total=oee]")).to_have_text(percent(totals["oee"]))
    expect(page.locator("[data-total=good]")).to_have_text(f"{totals['good']:,}")


def test_from_an_oee_to_the_stop_in_two_taps(desk: Desk, plant: Stage) -> None:
    """Yesterday's OEE → the losses of that line and day with all its stops → the machine's day at that very minute."""
    page = desk[0].new_page()
    open_page(page, plant.url + PAGES["yesterday"], "en")
    page.locator("[data-oee=L1]").click()  # tap 1
    expect(page).to_have_url(re.compile(r"/losses\?.*scope=line:L1"))
    longest = page.locator("tr", has_text="Blade broken").locator("[data-stop]").first
    longest.click()  # tap 2
    expect(page).to_have_url(re.compile(r"/machines/SAW-01\?.*day=2026-03-02"))
    marked = page.locator("tr.marked")
    expect(marked).to_contain_text("10:40:00")
    expect(marked).to_contain_text("52 min")
    expect(page.locator("svg [role=button]", has_text="Blade broken").first).to_be_visible()


def test_the_losses_page_adds_up_to_its_list(desk: Desk, plant: Stage) -> None:
    """A reason's bar, its stops under it and the API agree; the address reproduces the view in another language."""
    page = desk[0].new_page()
    open_page(page, plant.url + PAGES["losses"], "en")
    losses = rows(plant.server, "/losses", scope="line:L1", **day_window(plant))
    assert losses["pareto"]
    for row in losses["pareto"]:
        expect(page.locator(f"[data-reason='{row['reason']}'] .figures")).to_have_text(f"{int(row['seconds'] / 60 + 0.5):,} min · {row['count']}×")
    expect(page.locator("[data-fig=oee]")).to_have_text(percent(losses["record"]["oee"]))
    bar = page.locator("[data-reason=blade]")
    bar.focus()
    page.keyboard.press("Enter")  # no mouse needed
    expect(page).to_have_url(re.compile("reason=blade"))
    expect(page.locator("[data-stop]")).to_have_count(1)
    stops = rows(plant.server, "/stops", scope="line:L1", reason="blade", **day_window(plant))["items"]
    assert [one["seconds"] for one in stops] == [52 * 60]

    address = page.url
    open_page(page, address, "zh")
    expect(page.locator("[data-stop]")).to_have_count(1)
    expect(page.locator("tbody tr", has_text="锯条断裂").first).to_be_visible()


def test_every_chart_is_also_a_table(desk: Desk, plant: Stage) -> None:
    page = desk[0].new_page()
    open_page(page, plant.url + PAGES["machine-day"], "en")
    card = page.locator("section.chart-card", has=page.get_by_role("heading", name="The day"))
    card.get_by_role("button", name="As table").click()
    day = rows(plant.server, "/machines/SAW-01/day", day=FIRST_DAY)
    expected = sum(len(day[key]) for key in ("states", "counts", "alarms", "orders", "power"))
    expect(card.locator("tbody tr")).to_have_count(expected)
    expect(card.locator("tbody")).to_contain_text("No data · Edge was down")
    with page.expect_download() as download:
        card.get_by_role("button", name="CSV").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert len(text.splitlines()) == expected + 1

    for name in ("losses", "energy", "yesterday", "orders", "order"):
        open_page(page, plant.url + PAGES[name], "en")
        assert page.get_by_role("button", name="As table").count() >= 1, name


def test_unknown_time_is_hatched_and_never_a_zero(desk: Desk, plant: Stage) -> None:
    page = desk[0].new_page()
    open_page(page, plant.url + PAGES["machine-day"], "en")
    assert page.locator("svg .states rect[data-tone=unknown]").count() >= 1
    dark: Any = next(one for one in rows(plant.server, "/plant/now")["machines"] if one["code"] == "LAT-02")
    assert dark["good_shift"] is None
    open_page(page, f"{plant.url}/dashboards/now", "en")
    expect(page.locator("[data-machine='LAT-02'] [data-fig=good]")).to_have_text("—")


def test_energy_equals_the_api(desk: Desk, plant: Stage) -> None:
    page = desk[0].new_page()
    open_page(page, plant.url + PAGES["energy"], "en")
    found = rows(plant.server, "/energy/summary", **day_window(plant))
    expect(page.locator("[data-fig=incomer]")).to_have_text(f"{round(found['incomer_wh'] / 1000):,}")
    expect(page.locator("[data-fig=machines]")).to_have_text(f"{round(found['machines_wh'] / 1000):,}")
    expect(page.locator("canvas").first).to_be_visible()


def test_a_serial_shows_its_lots_and_its_passport(desk: Desk, plant: Stage) -> None:
    page = desk[0].new_page()
    open_page(page, f"{plant.url}/dashboards/trace", "en")
    page.locator("input[name=code]").fill(SERIAL)
    page.keyboard.press("Enter")  # what a scanner sends after the code
    expect(page.get_by_role("heading", name=f"Passport {SERIAL}")).to_be_visible()
    tree = page.locator(".trees")
    expect(tree).to_contain_text(LOT)
    expect(tree).to_contain_text("per piece")
    tree.get_by_role("button", name=LOT).click()
    expect(page.locator(".trees section", has=page.get_by_role("heading", name="Where it went"))).to_contain_text(SERIAL)


def first_load(page: Page) -> int:
    """Bytes that came over the wire for scripts and styles until the page stood."""
    sizes = page.evaluate(
        "() => performance.getEntriesByType('resource').filter(r => /\\.(js|css)$/.test(r.name)).reduce((sum, r) => sum + r.encodedBodySize, 0)"
    )
    return int(sizes)


def test_the_first_load_is_small(desk: Desk, plant: Stage) -> None:
    page = desk[0].new_page()
    open_page(page, plant.url + PAGES["yesterday"], "en")
    assert 20_000 < first_load(page) <= 300_000
