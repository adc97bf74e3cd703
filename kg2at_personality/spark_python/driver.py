"""Spark's driver in this process: the JVM, the session that the names stand for, and what ends them."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any

from . import pyspark_internals
from .application_rules import ApplicationRules
from .context_hooks import ContextHooks
from .import_hook import ImportHook
from .jvm import Jvm
from .lazy_names import LazyNames
from .properties_file import PropertiesFile
from .start_error import SparkStartError


class Driver:
    """Makes the session, and knows whether there is one."""

    def __init__(self, environ: Mapping[str, str], names: LazyNames) -> None:
        properties = PropertiesFile.of(environ)
        self.names = names
        self._rules = ApplicationRules(environ.get("KERNEL_ID", ""), properties.admitted)
        self._hooks = ContextHooks(self._rules, Jvm(properties, self._jvm_ended), self._context_stopped)
        self.hooks = self._hooks

    def install(self) -> None:
        """Have the rules hold for every SparkContext of this process; pyspark is not imported for it."""
        context = self._hooks.install
        ImportHook({"pyspark.context": context, "pyspark.core.context": context}).install()

    @property
    def is_starting(self) -> bool:
        """Whether a SparkContext is being made."""
        return self._hooks.is_starting

    @property
    def context(self) -> Any | None:
        """The SparkContext that there is now, of whoever made it; None else. Never waits, and imports nothing."""
        return pyspark_internals.active_context()

    def make(self) -> dict[str, Any]:
        """Return the session and its contexts by our names, made if there are none. Raises SparkStartError."""
        try:
            objects = _objects()
        except Exception as error:
            raise SparkStartError(error) from error
        self.names.fill(objects)
        return objects

    def make_in_background(self) -> None:
        """Make them while the user may do something else, who is told nothing if it fails: the first use is."""
        threading.Thread(target=self._try_to_make, name="kg2at eager start", daemon=True).start()

    def _try_to_make(self) -> None:
        try:
            self.make()
        except Exception as error:
            print(error, file=sys.__stderr__)

    def _context_stopped(self, context: Any) -> None:
        self.names.forget(context)

    def _jvm_ended(self, gateway: Any, status: int) -> None:
        context = self._hooks.forget(gateway)
        if context is not None:
            self.names.forget(context)


def _objects() -> dict[str, Any]:
    from pyspark.sql import SparkSession, SQLContext

    session = SparkSession.builder.getOrCreate()
    context = pyspark_internals.context_of(session)
    if context is None:
        return {"spark": session}  # of Spark Connect
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLContext is deprecated, which is not the user's doing
        return {"spark": session, "sc": context, "sqlContext": SQLContext(context, session)}
