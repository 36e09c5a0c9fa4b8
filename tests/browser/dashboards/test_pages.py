"""Every page in both languages and on three screens: no error, nothing cut off, no nonsense word, no foreign request."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.dashboards.driver import NONSENSE, Watch, open_page, overflow, switch
from tests.browser.dashboards.pages import PAGES
from tests.browser.dashboards.stage import Stage
from tests.support.wait import eventually

SIZES = {"wide": (1920, 1080), "desk": (1280, 800), "phone": (390, 844)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stands_in_both_languages_on_every_screen(desk: tuple[BrowserContext, Watch], plant: Stage, name: str) -> None:
    context, watch = desk
    page = context.new_page()
    said = {}
    for lang in ("zh", "en"):
        if lang == "zh" or "/wall/" in PAGES[name]:
            open_page(page, plant.url + PAGES[name], lang)
        else:
            switch(page, lang)
        text = said[lang] = page.inner_text("main")
        assert len(text) > 30, f"{name} is empty"
        assert not NONSENSE.search(text), f"{name} ({lang}) says {NONSENSE.search(text)}"
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            assert eventually(lambda: overflow(page) <= 0, 3), f"{name} ({lang}, {size}) is {overflow(page)} px too wide"
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN" if lang == "zh" else "en")
        watch.check(f"{name} ({lang})")
    assert said["zh"] != said["en"], "a page that forgot its words reads the same in both languages"
