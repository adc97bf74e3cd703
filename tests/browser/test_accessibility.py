"""The harness itself: a page is shown, and axe-core finds what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.accessibility import violations
from tests.browser.evidence import SCREENSHOTS, screenshot

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
PAGE = '<!doctype html><html lang="en"><title>t</title><main><h1>A page</h1><img src="a.png"{}></main></html>'


@pytest.mark.parametrize(("attribute", "broken"), [("", ["image-alt"]), (' alt="A bar"', [])])
def test_an_image_needs_a_text(browser_page: Page, tmp_path: Path, attribute: str, broken: list[str]) -> None:
    (tmp_path / "page.html").write_text(PAGE.format(attribute))
    browser_page.goto((tmp_path / "page.html").as_uri())
    assert [each.split(" ")[0] for each in violations(browser_page)] == broken


def test_a_picture_is_made_where_one_is_wanted(
    browser_page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser_page.set_content(PAGE)
    monkeypatch.delenv(SCREENSHOTS, raising=False)
    screenshot(browser_page, "none")
    monkeypatch.setenv(SCREENSHOTS, str(tmp_path))
    screenshot(browser_page, "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]
