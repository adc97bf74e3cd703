"""The machine's own Chromium, without a screen, steered by Playwright."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
#: It needs no GPU, no QUIC, little of /dev/shm, and nothing of the net.
OPTIONS = (
    *("--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def path() -> str:
    """Return where it is. Raises AssertionError with what to do when there is none."""
    found = subprocess.run([ROOT / ".ci" / "chromium"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@contextmanager
def launched() -> Iterator[Browser]:
    """Run it; it ends with the block."""
    from playwright.sync_api import sync_playwright

    # Its sandbox refuses to work for root.
    options = [*OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path(), args=options)
        yield browser
        browser.close()
