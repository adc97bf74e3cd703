"""The kernel: ipykernel's, with Spark's names, and with interrupts that reach Spark's jobs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from IPython.display import clear_output
from traitlets import Enum, Type

from .driver import Driver
from .driver_reporter import DriverReporter
from .hand_out import HandOut
from .interrupt_handler import InterruptHandler
from .lazy_names import LazyNames
from .notices import Notices
from .progress_line import ProgressLine
from .spark_shell import SparkShell
from .sql_magic import SqlMagic
from .use_finder import UseFinder


class SparkKernel(IPythonKernel):
    """An IPython kernel whose cells have `spark`, `sc` and `sqlContext`."""

    shell_class = Type(SparkShell)
    spark_context = Enum(
        ["lazy", "eager", "none"],
        default_value="lazy",
        help="When Spark's session is made: by the first cell that uses it, from the start on, or by the user's code.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shell: Any = self.shell
        self.names = LazyNames(shell.user_ns)
        self.notices, self.progress = Notices(), ProgressLine(_print, clear_output)
        #: Whether the cell that runs is to be seen, and has no output yet.
        self._is_blank = False
        self.driver = Driver(os.environ, self.names, self.notices, self.progress)
        self.interrupts = InterruptHandler(self.driver)
        self.driver.install(self.interrupts.install_again)
        self.reporter = DriverReporter(_beside(self.parent) + ".report", self.driver)
        if self.spark_context != "none":
            self.names.define(self.driver)
            shell.ast_transformers.append(UseFinder(self.names))
        shell.register_magics(SqlMagic(shell, self.driver))
        shell.events.register("pre_run_cell", self._begin_cell)
        shell.events.register("post_run_cell", self._end_cell)

    def start(self) -> None:
        """Begin to report, and to make an eager session. Called by the application when all is set up."""
        super().start()
        self.reporter.start()
        if self.spark_context == "eager":
            self.driver.make_in_background()

    def wait_for_user(self) -> None:
        """Take what is a user's when the gateway tells. Called by a cell of the gateway's."""
        HandOut(_beside(self.parent), self.comm_manager, self._take).wait()

    def _take(self) -> None:
        """Be as if started in this environment and directory."""
        self.driver.take(os.environ)
        shell: Any = self.shell
        shell.user_ns["_dh"][:] = [type(first)(os.getcwd()) for first in shell.user_ns["_dh"][:1]]

    def use_spark(self) -> None:
        """Make the session that a cell is about to use. Called by the statement that UseFinder puts into the cell."""
        is_blank, self._is_blank = self._is_blank, False
        with self.progress.place() if is_blank else contextlib.nullcontext():
            self.driver.make()

    def _begin_cell(self, info: Any) -> None:
        """Show what has happened since the last cell. Called by IPython before each that is not silent."""
        self._is_blank = not self.notices.show()
        self.reporter.wake()

    def _end_cell(self, result: Any) -> None:
        """Show what has happened meanwhile. Called by IPython after each cell, and without a result for a cancelled."""
        self._is_blank = False
        self.driver.settle(getattr(result, "error_in_exec", None))
        self.notices.show()

    def pre_handler_hook(self) -> None:
        """Take SIGINT for a request. Called by ipykernel before each."""
        self.interrupts.begin()

    def post_handler_hook(self) -> None:
        """Have SIGINT end Spark's jobs alone. Called by ipykernel after each request."""
        self.interrupts.end()

    @contextlib.contextmanager
    def _cancel_on_sigint(self, future: Any) -> Iterator[None]:
        """End Spark's jobs too when ipykernel ends a cell with a top-level `await`, which may stand in one of them."""
        loop = asyncio.get_running_loop()
        with super()._cancel_on_sigint(future):
            theirs: Any = signal.getsignal(signal.SIGINT)

            def end_cell(signum: int, frame: Any) -> None:
                theirs(signum, frame)
                loop.call_soon_threadsafe(bool)  # theirs doesn't wake a loop that waits, such as in asyncio.sleep

            with self.interrupts.then(end_cell):
                yield

    def do_complete(self, code: str, cursor_pos: int) -> Any:
        """Complete without making a session."""
        with self.names.blank(code):
            return super().do_complete(code, cursor_pos)

    def do_inspect(self, code: str, cursor_pos: int, *args: Any, **kwargs: Any) -> Any:
        """Tell of a name without making what it stands for."""
        with self.names.blank(code):
            return super().do_inspect(code, cursor_pos, *args, **kwargs)

    def do_shutdown(self, restart: bool) -> Any:
        """End the JVM too, which ipykernel's own end would wait for longer."""
        self.driver.end()
        return super().do_shutdown(restart)


def _print(text: str) -> None:
    print(text)
    sys.stdout.flush()


def _beside(app: Any) -> str:
    """Return the path of the files beside the kernel's connection file, without their suffixes."""
    return os.path.splitext(str(app.abs_connection_file))[0]


def launch() -> None:
    """Run the kernel until it is shut down."""
    IPKernelApp.launch_instance(kernel_class=SparkKernel)
