"""What is put into pyspark's SparkContext, so that the rules hold for a user's own as for ours."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, Callable

from . import pyspark_internals
from .application_rules import ApplicationRules
from .jvm import Jvm
from .pending_call import PendingCall


class ContextHooks:
    """Hooks for the module that has SparkContext: pyspark.context of Spark 3, pyspark.core.context of Spark 4.

    `on_stop` is called with each context that has been stopped, and `on_delay` when somebody waits for Spark to start.
    """

    _rules: ApplicationRules
    _jvm: Jvm

    def __init__(self, on_stop: Callable[[Any], None], on_delay: Callable[[], None]) -> None:
        self._on_stop, self._on_delay = on_stop, on_delay
        self._module: ModuleType | None = None
        self._pending: PendingCall | None = None
        self._last: Any = None
        self._stopping: list[Any] = []

    def take(self, rules: ApplicationRules, jvm: Jvm) -> None:
        """Hold contexts to these rules from now on, in this JVM."""
        self._rules, self._jvm = rules, jvm

    @property
    def is_starting(self) -> bool:
        """Whether the JVM is in the constructor of a SparkContext."""
        return self._pending is not None and self._pending.is_running

    def install(self, module: ModuleType, on_made: Callable[[], None]) -> None:
        """Put the hooks in. Called when pyspark is imported. `on_made` is called when a constructor has ended."""
        names: Any = module
        if not hasattr(module, "launch_gateway"):
            return
        self._module, launch = module, names.launch_gateway

        def launch_gateway(conf: Any = None, popen_kwargs: Any = None) -> Any:
            """Launch the JVM without a property on its command line."""
            values = dict(conf.getAll()) if conf else {}
            return self._jvm.gateway(launch, self._rules.for_launch(values), self._on_delay)

        names.launch_gateway = launch_gateway
        self._hook(names.SparkContext, on_made)

    def _hook(self, context: Any, on_made: Callable[[], None]) -> None:
        make, stop, stopping, on_stop = context.__init__, context.stop, self._stopping, self._on_stop

        @functools.wraps(make)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                make(self, *args, **kwargs)
            finally:
                on_made()  # pyspark has put its own handler for SIGINT in

        @functools.wraps(stop)
        def stop_and_tell(self: Any) -> None:
            stopping.append(self)
            try:
                stop(self)
            finally:
                stopping.remove(self)
                on_stop(self)

        context.__init__, context.stop = __init__, stop_and_tell
        pyspark_internals.replace_constructor(context, self._construct)

    def _construct(self, context: Any, original: Callable[[], Any], jconf: Any) -> Any:
        """Return the JVM's context, when none is left that an interrupt left behind.

        Called by SparkContext's constructor in the thread that makes it.
        """
        for sentence in self._rules.apply(jconf):
            print(sentence)
        context.appName = jconf.get("spark.app.name")
        if self._pending is not None and self._pending.is_running:
            _stop(self._pending.result(self._on_delay))
        _stop(self._last)
        self._last = None
        self._pending = PendingCall(original, _stop)
        self._last = self._pending.result(self._on_delay)
        return self._last

    def lose(self, context: Any) -> bool:
        """Stop a context that the JVM has stopped by itself. Return whether it was so, and no cell's doing."""
        if context in self._stopping or pyspark_internals.active_context() is not context:
            return False
        context.stop()
        return True

    def forget(self, gateway: Any) -> Any:
        """Have pyspark forget a JVM that has ended. Return the SparkContext that ended with it; None if none did."""
        self._last = None
        return pyspark_internals.forget_jvm(self._module, gateway) if self._module is not None else None


def _stop(java_context: Any) -> None:
    """Stop a JVM's context. Idempotent; a no-op for None, and when its JVM has ended."""
    try:
        if java_context is not None:
            java_context.stop()
    except Exception:
        return
