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
#: It asks nothing of the net, and asks nobody whether it may. Its page has `jupyterapp`.
OPTIONS = (
    *("--LabApp.extension_manager=readonly", "--LabApp.news_url=None"),
    *("--LabApp.expose_app_in_browser=True", "--log-level=WARN"),
)
NEWS = "CONFIG/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
#: Seconds that an answer takes at most on a busy machine: a Toree starts, and its SparkContext.
LIMIT = 90.0


class JupyterLab:
    """A page with JupyterLab. What is said of a notebook is said of the one whose tab is in front."""

    def __init__(self, server: JupyterServer, page: Page) -> None:
        self.server, self.page = server, page
        self.notebook = page.locator(".jp-NotebookPanel:visible")
        self.dialog = page.locator(".jp-Dialog-content")

    @staticmethod
    def server(gateway: Gateway, directory: Path) -> JupyterServer:
        """Return a JupyterLab that is served inside its `with` block, with the notebooks in `directory`."""
        settings = directory / NEWS
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
        return JupyterServer(gateway, directory, PROGRAM, OPTIONS)

    def write(self, name: str, kernel: str, *cells: str) -> None:
        """Put a notebook of these cells into the folder."""
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
        (self.server.directory / f"{name}.ipynb").write_text(json.dumps(notebook))

    def visit(self, place: str = "") -> None:
        """Go to JupyterLab, or to a notebook in it, with nothing open from before."""
        self.page.goto(f"http://127.0.0.1:{self.server.port}/lab{place}?token=lab&reset", timeout=LIMIT * 1000)
        self.page.locator(".jp-DirListing-item").first.wait_for(timeout=LIMIT * 1000)

    def open(self, name: str, kernel: str, *cells: str) -> None:
        """Make a notebook of these cells, and go to it."""
        self.write(name, kernel, *cells)
        self.visit(f"/tree/{name}.ipynb")
        self.cell(len(cells) - 1).wait_for()

    def open_from_list(self, name: str) -> None:
        """Double-click a notebook in the list of files. Returns when it is shown."""
        self.page.locator(f".jp-DirListing-item[title*='{name}.ipynb']").dblclick()
        self.page.locator(f".lm-TabBar-tab.lm-mod-current:has-text('{name}.ipynb')").wait_for()
        self.cell(0).wait_for()

    def close_and_shut_down(self) -> None:
        """Press the keys that close the notebook and end its kernel, and confirm."""
        self.page.keyboard.press("Control+Shift+Q")
        self.dialog.locator(".jp-mod-accept").click()
        self.notebook.wait_for(state="detached")

    def cell(self, index: int) -> Locator:
        """Return the cell with this number, from 0 on."""
        return self.notebook.locator(".jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return what is shown below it."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def run(self, index: int) -> None:
        """Click into the cell and press Shift+Enter."""
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")

    def answer(self, index: int, text: str, limit: float = LIMIT) -> None:
        """Run the cell and wait until it shows `text`; fails after `limit` seconds."""
        from playwright.sync_api import expect

        self.run(index)
        expect(self.output(index)).to_contain_text(text, timeout=limit * 1000)

    def wait_for_session(self) -> None:
        """Wait until there is a kernel that cells can be sent to, ready or not.

        What is run before, JupyterLab forgets without a word (4.6, CodeCell.execute:
        `!sessionContext.session?.kernel`).
        """
        session = "jupyterapp.shell.currentWidget?.sessionContext?.session"
        self.page.wait_for_function(f"() => {session}?.kernel", timeout=LIMIT * 1000)

    def shut_down_in_running_panel(self, kernel_id: str) -> None:
        """Open the panel of what runs and click the cross of a kernel, once."""
        self.page.locator("[data-id=jp-running-sessions]").click()
        kernel = self.page.locator(f"#jp-running-sessions .jp-mod-kernel[data-context='{kernel_id}']")
        kernel.hover()
        kernel.locator(".jp-RunningSessions-itemShutdown").first.click()
