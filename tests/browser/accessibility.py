"""axe-core: what keeps people from using a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def violations(page: Page) -> list[str]:
    """Return each rule of axe-core that the page breaks, with the elements that do."""
    from axe_playwright_python.sync_playwright import Axe

    broken = Axe().run(page).response["violations"]
    return [f"{rule['id']} ({rule['help']}): {[node['html'] for node in rule['nodes']]}" for rule in broken]
