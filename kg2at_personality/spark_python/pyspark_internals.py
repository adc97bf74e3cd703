"""The private names of pyspark that the kernel uses, of Spark 3 and 4, each here alone."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Callable

#: What pyspark's SQL classes keep of a session.
_KEPT = {"SparkSession": ("_instantiatedSession", "_activeSession"), "SQLContext": ("_instantiatedContext",)}


def active_context() -> Any:
    """Return the SparkContext there is, of whoever made it; None else. Never waits, and imports nothing."""
    context = getattr(getattr(sys.modules.get("pyspark"), "SparkContext", None), "_active_spark_context", None)
    return context if getattr(context, "_jsc", None) is not None else None


def java_context(context: Any) -> Any:
    """Return the JVM's SparkContext. Raises AttributeError for one that has been stopped."""
    return context._jsc.sc()


def gateway_of(context: Any) -> Any:
    """Return py4j's gateway to the JVM."""
    return context._gateway


def context_of(session: Any) -> Any:
    """Return the SparkContext of a session or an SQLContext; None for one of Spark Connect, and for anything else."""
    return getattr(session, "_sc", None)


def replace_constructor(context_class: Any, construct: Callable[[Any, Callable[[], Any], Any], Any]) -> None:
    """Have `construct(context, original, jconf)` make the JVM's context, where `original()` does what pyspark does.

    SparkContext._initialize_context is there for subclasses to override.
    """

    original = context_class._initialize_context

    def _initialize_context(self: Any, jconf: Any) -> Any:
        return construct(self, lambda: original(self, jconf), jconf)

    context_class._initialize_context = _initialize_context


def forget_jvm(module: ModuleType, gateway: Any) -> Any:
    """Have pyspark forget a JVM that has ended, and what was in it. Return the SparkContext that ended with it."""
    cls: Any = vars(module)["SparkContext"]
    if cls._gateway is not gateway:
        return None
    context, cls._active_spark_context, cls._gateway, cls._jvm = cls._active_spark_context, None, None, None
    if context is not None:
        context._jsc = None
    for name, fields in _KEPT.items():
        owner = getattr(sys.modules.get("pyspark.sql"), name, None)
        for field in fields:
            if hasattr(owner, field):
                setattr(owner, field, None)
    return context
