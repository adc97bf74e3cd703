"""Spark's driver in this process: the JVM, the session that the names stand for, and what ends them."""

from __future__ import annotations

import sys
import threading
import warnings
from types import ModuleType
from typing import Any, Callable, Mapping

from . import pyspark_internals
from .application_rules import ApplicationRules
from .context_hooks import ContextHooks
from .import_hook import ImportHook
from .jvm import Jvm
from .lazy_names import LazyNames
from .notices import Notices
from .progress_line import ProgressLine
from .properties_file import PropertiesFile
from .short_error import JvmLost, ShortError, SparkStartError

#: Seconds in which a JVM ends that has been asked to, and in which it is known that one has ended.
END_LIMIT, KNOWN_LIMIT = 3.0, 1.0


class Driver:
    """Makes the session, and knows whether there is one."""

    def __init__(self, environ: Mapping[str, str], names: LazyNames, notices: Notices, progress: ProgressLine) -> None:
        self._names, self._notices, self._progress = names, notices, progress
        self._is_making = False
        self._hooks = ContextHooks(names.forget, self._tell_delay)
        self.take(environ)

    def take(self, environ: Mapping[str, str]) -> None:
        """Have the next JVM and its applications be those of this environment. There must be no JVM."""
        properties = PropertiesFile.of(environ)
        self._jvm = Jvm(properties, environ.get("JAVA_HOME", ""), self._jvm_ended)
        self._hooks.take(ApplicationRules(environ.get("KERNEL_ID", ""), properties.admitted), self._jvm)

    def install(self, on_made: Callable[[], None]) -> None:
        """Have the rules hold for every SparkContext of this process; pyspark is not imported for it.

        `on_made` is called when a constructor of a SparkContext has ended, in its thread.
        """

        def hook(module: ModuleType) -> None:
            from . import py4j_hooks  # which needs py4j

            py4j_hooks.install()
            self._hooks.install(module, on_made)

        hooks = {"pyspark.java_gateway": self._launch_early, "pyspark.context": hook, "pyspark.core.context": hook}
        ImportHook(hooks).install()

    def _launch_early(self, module: ModuleType) -> None:
        """Launch the JVM for a session that is being made while the rest of pyspark, most of it, is imported."""
        if self._is_making:
            self._jvm.begin(vars(module)["launch_gateway"], {})

    @property
    def is_starting(self) -> bool:
        """Whether a SparkContext is being made."""
        return self._hooks.is_starting

    @property
    def context(self) -> Any:
        """The SparkContext that there is now, of whoever made it; None else. Never waits, and imports nothing."""
        return pyspark_internals.active_context()

    def make(self) -> dict[str, Any]:
        """Return the session and its contexts by our names, made if there are none. Raises SparkStartError."""
        self._is_making = True
        try:
            objects = _objects()
        except ShortError:
            raise
        except Exception as error:
            raise SparkStartError(error) from error
        finally:
            self._is_making = False
        self._names.fill(objects)
        return objects

    def make_in_background(self) -> None:
        """Make them while the user may do something else; if it fails, the first use tries again, and is told."""
        threading.Thread(target=self._try_to_make, name="kg2at eager start", daemon=True).start()

    def _try_to_make(self) -> None:
        try:
            self.make()
        except Exception as error:
            print(error, file=sys.__stderr__)

    def lose(self, context: Any) -> None:
        """Go on without a SparkContext that the JVM has stopped. Called when the driver's report finds it so."""
        if self._hooks.lose(context):
            self._notices.add(
                "Spark's application has ended, perhaps killed at the master. The next use makes a new one."
            )

    def settle(self, error: BaseException | None) -> None:
        """Wait until it is known whether the JVM has ended, if a cell's error may come of that."""
        if isinstance(error, JvmLost):
            self._jvm.wait_for_end(KNOWN_LIMIT)

    def end(self) -> None:
        """End the JVM. Called when the kernel shuts down."""
        self._jvm.end(END_LIMIT)

    def _tell_delay(self) -> None:
        self._progress.tell("Starting Spark ...")

    def _jvm_ended(self, gateway: Any, status: int) -> None:
        context = self._hooks.forget(gateway)
        if context is not None:
            self._names.forget(context)
        self._notices.add(
            f"Spark's JVM has ended {_how(status)}. Variables are kept; the next use of Spark starts anew."
        )


def _how(status: int) -> str:
    return f"by signal {-status}" if status < 0 else f"with exit status {status}"


def _objects() -> dict[str, Any]:
    from pyspark.sql import SparkSession, SQLContext

    session = SparkSession.builder.getOrCreate()
    context = pyspark_internals.context_of(session)
    if context is None:
        return {"spark": session}  # of Spark Connect
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLContext is deprecated, which is not the user's doing
        return {"spark": session, "sc": context, "sqlContext": SQLContext(context, session)}
