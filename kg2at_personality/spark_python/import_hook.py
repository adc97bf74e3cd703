"""Does something to a module right after it is imported, whoever imports it, and imports nothing itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class ImportHook:
    """A finder for sys.meta_path, with a hook for each of some modules."""

    def __init__(self, hooks: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._hooks = dict(hooks)

    def install(self) -> None:
        """Hook what is imported from now on, and at once what is imported already."""
        for name, hook in self._hooks.items():
            if name in sys.modules:
                hook(sys.modules[name])
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's own spec with a loader that calls its hook. Called by each import."""
        if name not in self._hooks:
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec is not None and spec.loader is not None:
            spec.loader = HookedLoader(spec.loader, self._hooks[name])  # type: ignore[assignment]
        return spec


class HookedLoader:
    """A module's own loader, after which the hook is called. Python 3.8's for zip files has load_module alone."""

    def __init__(self, loader: Any, hook: Callable[[ModuleType], None]) -> None:
        self._loader, self._hook = loader, hook
        if hasattr(loader, "exec_module"):
            self.exec_module = self._exec_module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def _exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._hook(module)

    def load_module(self, name: str) -> ModuleType:
        module: ModuleType = self._loader.load_module(name)
        self._hook(module)
        return module
