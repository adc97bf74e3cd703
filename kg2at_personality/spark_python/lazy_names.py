"""`spark`, `sc` and `sqlContext` while there is no session: stand-ins, which make it when they are used."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any, Protocol

from .pyspark_internals import context_of

#: Each name with the module and the class of what it stands for.
CLASSES = {
    "spark": ("pyspark.sql", "SparkSession"),
    "sc": ("pyspark", "SparkContext"),
    "sqlContext": ("pyspark.sql", "SQLContext"),
}


class Maker(Protocol):
    """What makes a session and gives all names their objects."""

    def make(self) -> dict[str, Any]: ...

    @property
    def context(self) -> Any: ...


class LazyName:
    """Stands for one of the names. What cells hold of it after the session is made goes on to the real object."""

    def __init__(self, name: str, maker: Maker) -> None:
        self.__dict__.update(_lazy_name=name, _lazy_maker=maker)

    def _lazy_real(self) -> Any:
        return self._lazy_maker.make()[self._lazy_name]

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("_repr_", "_ipython_")) or (attribute[:2] == "__" == attribute[-2:]):
            raise AttributeError(attribute)  # a front end looks how to show it, and must not start a JVM
        if attribute == "stop" and self._lazy_maker.context is None:
            return _nothing_to_stop
        return getattr(self._lazy_real(), attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(self._lazy_real(), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(self._lazy_real(), attribute)

    def __dir__(self) -> list[str]:
        return dir(real_class(self._lazy_name))

    def __repr__(self) -> str:
        return f"<{CLASSES[self._lazy_name][1]} that is made when it is first used>"

    def __enter__(self) -> Any:
        return self._lazy_real().__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._lazy_real().__exit__(*error)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._lazy_real().__reduce_ex__(protocol)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """The real one, for isinstance, as soon as anybody can have that class to compare with."""
        module, name = CLASSES[self._lazy_name]
        return getattr(sys.modules.get(module), name, LazyName)


def _nothing_to_stop() -> None:
    """Stand for the method of a session that is not made: nothing is started to be stopped."""


def is_lazy(value: Any) -> bool:
    """Return whether this stands for something that may not be made yet."""
    return type(value) is LazyName


def real_class(name: str) -> Any:
    """Return the class that a name stands for, which imports pyspark but starts nothing."""
    module, attribute = CLASSES[name]
    return getattr(importlib.import_module(module), attribute)


class LazyNames:
    """The names in the cells' namespace."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self._lazy: dict[str, LazyName] = {}

    def define(self, maker: Maker) -> None:
        """Have the names from now on, each lazy."""
        self._lazy = {name: LazyName(name, maker) for name in CLASSES}
        self.namespace.update(self._lazy)

    @property
    def unmade(self) -> list[str]:
        """The names that are still lazy."""
        return [name for name in CLASSES if is_lazy(self.namespace.get(name))]

    def fill(self, objects: dict[str, Any]) -> None:
        """Put the real objects where the names are still lazy; what a cell has given such a name stays."""
        self.namespace.update({name: objects[name] for name in self.unmade if name in objects})

    @contextlib.contextmanager
    def blank(self, text: str) -> Iterator[None]:
        """Have empty objects for the lazy names in `text` inside the block: looking into their class starts nothing.

        No-op in other threads than the main one, since a cell may run meanwhile.
        """
        names = set(self.unmade) & set(re.findall(r"\w+", text))
        if not names or threading.current_thread() is not threading.main_thread():
            yield
            return
        empty = {name: object.__new__(real_class(name)) for name in names}
        self.namespace.update(empty)
        try:
            yield
        finally:
            for name in names:
                if self.namespace.get(name) is empty[name]:
                    self.namespace[name] = self._lazy[name]

    def forget(self, context: Any) -> None:
        """Make those names lazy again that stand for an object of this SparkContext, which has ended."""
        for name, lazy in self._lazy.items():
            value = self.namespace.get(name)
            if not is_lazy(value) and (value is context or context_of(value) is context):
                self.namespace[name] = lazy
