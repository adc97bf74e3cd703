"""The kernel: ipykernel's, with Spark's names, and with interrupts that reach Spark's jobs."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from traitlets import Enum

from .driver import Driver
from .driver_reporter import DriverReporter
from .interrupt_handler import InterruptHandler
from .lazy_names import LazyNames
from .use_finder import UseFinder


class SparkKernel(IPythonKernel):
    """An IPython kernel whose cells have `spark`, `sc` and `sqlContext`."""

    spark_context = Enum(
        ["lazy", "eager", "none"],
        default_value="lazy",
        help="When Spark's session is made: by the first cell that uses it, from the start on, or by the user's code.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        shell: Any = self.shell
        self.names = LazyNames(shell.user_ns)
        self.driver = Driver(os.environ, self.names)
        self.interrupts = InterruptHandler(self.driver)
        self.driver.hooks.on_made = self.interrupts.install_again
        self.reporter = DriverReporter(_report_path(self.parent), self.driver)
        self.driver.install()
        if self.spark_context != "none":
            self.names.define(self.driver)
            shell.ast_transformers.append(UseFinder(self.names))
        if self.spark_context == "eager":
            self.driver.make_in_background()

    def start(self) -> None:
        """Begin to report too. Called by the application when all is set up."""
        super().start()  # type: ignore[no-untyped-call]
        shell: Any = self.shell
        shell.events.register("pre_execute", self.reporter.wake)
        self.reporter.start()

    def use_spark(self) -> None:
        """Make the session that a cell is about to use. Called by the statement that UseFinder puts into the cell."""
        self.driver.make()

    def pre_handler_hook(self) -> None:
        """Take SIGINT for a request. Called by ipykernel before each."""
        self.interrupts.begin()

    def post_handler_hook(self) -> None:
        """Have SIGINT end Spark's jobs alone. Called by ipykernel after each request."""
        self.interrupts.end()

    @contextlib.contextmanager
    def _cancel_on_sigint(self, future: Any) -> Iterator[None]:
        """End Spark's jobs too when ipykernel ends a cell with a top-level `await`, which may stand in one of them."""
        with super()._cancel_on_sigint(future):
            theirs = signal.getsignal(signal.SIGINT)
            with self.interrupts.then(theirs):
                yield


def _report_path(app: Any) -> str:
    """Return the file beside the kernel's connection file."""
    base, _ = os.path.splitext(str(app.abs_connection_file))
    return base + ".report"


def launch() -> None:
    """Run the kernel until it is shut down."""
    IPKernelApp.launch_instance(kernel_class=SparkKernel)
