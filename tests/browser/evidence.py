"""What a failed test in a browser leaves to look at: a picture of the page, its console, the logs of the programs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Where pictures go; unset: none are made but those of failed tests, which go to a temporary directory then.
SCREENSHOTS = "KG2AT_TEST_SCREENSHOTS"
#: How many characters of each text are shown, from the end.
SHOWN = 6_000


def screenshot(page: Page, name: str, full_page: bool = False) -> None:
    """Write NAME.png into the directory that KG2AT_TEST_SCREENSHOTS names; no-op without."""
    if directory := os.environ.get(SCREENSHOTS):
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=full_page)


class Evidence:
    """Texts and pages; read only when a test has failed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._texts: dict[str, Callable[[], str]] = {}

    def add(self, title: str, text: Callable[[], str]) -> None:
        """Show what `text` returns when the test has failed."""
        self._texts[title] = text

    def watch(self, page: Page) -> None:
        """Show a page: a picture of it, and what it writes to its console."""
        lines = list[str]()
        page.on("console", lambda message: lines.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: lines.append(f"error: {error}"))
        self.add("the page's console", lambda: "\n".join(lines))
        self.add("the page", lambda: f"{page.url}: {self._picture(page)}")

    def _picture(self, page: Page) -> Path:
        directory = os.environ.get(SCREENSHOTS) or tempfile.mkdtemp(prefix="kg2at-browser-")
        path = Path(directory) / f"failed-{self._name}.png"
        page.screenshot(path=path)
        return path

    def sections(self) -> list[tuple[str, str]]:
        """Return each title with the end of its text, as pytest's reports have them."""
        return [(title, self._read(text)) for title, text in self._texts.items()]

    @staticmethod
    def _read(text: Callable[[], str]) -> str:
        try:
            return text()[-SHOWN:]
        except Exception as error:  # the failure itself is to be seen, even if the browser is gone
            return f"can't be had: {error}"
