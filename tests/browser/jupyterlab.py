"""JupyterLab on a page, as a user sees and handles it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from nbformat.v4 import new_code_cell, new_notebook

from tests.fakes.gateway_process import Gateway
from tests.fakes.jupyter_server import JupyterServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[2]
#: Of an environment of its own, which `make test-browser` makes.
PROGRAM = (str(ROOT / ".venv-jupyterlab" / "bin" / "python"), "-m", "jupyterlab")
#: It asks nothing of the net, and asks nobody whether it may.
OPTIONS = ("--LabApp.extension_manager=readonly", "--LabApp.news_url=None")
NEWS = "CONFIG/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
#: Seconds that an answer takes at most on a busy machine: a Toree starts, and its SparkContext.
LIMIT = 90.0


class JupyterLab:
    """A page with JupyterLab, one notebook at a time."""

    def __init__(self, server: JupyterServer, page: Page) -> None:
        self.server, self.page = server, page

    @staticmethod
    def server(gateway: Gateway, directory: Path) -> JupyterServer:
        """Return a JupyterLab that is served inside its `with` block, with the notebooks in `directory`."""
        settings = directory / NEWS
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        return JupyterServer(gateway, directory, PROGRAM, OPTIONS)

    def write(self, name: str, kernel: str, *cells: str) -> str:
        """Put a notebook of these cells into the folder. Return its path."""
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
        (self.server.directory / f"{name}.ipynb").write_text(json.dumps(notebook))
        return f"{name}.ipynb"

    def open(self, name: str, kernel: str, *cells: str) -> None:
        """Open a new notebook of these cells, and wait until it is shown."""
        path = self.write(name, kernel, *cells)
        self.page.goto(f"http://127.0.0.1:{self.server.port}/lab/tree/{path}?token=lab&reset")
        self.cell(len(cells) - 1).wait_for()

    def cell(self, index: int) -> Locator:
        """Return the cell with this number, from 0 on."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return what is shown below it."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def run(self, index: int) -> None:
        """Click into the cell and press Shift+Enter."""
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")

    def wait_for_kernel(self) -> None:
        """Wait until the notebook's toolbar shows an idle kernel."""
        self.page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()

    def wait_for_output(self, index: int, text: str, limit: float = LIMIT) -> None:
        """Wait until the cell shows `text`; fails after `limit` seconds."""
        from playwright.sync_api import expect

        expect(self.output(index)).to_contain_text(text, timeout=limit * 1000)
