"""Kernel Gateway's own handlers, from which kg2at's are derived.

Some have no name in Kernel Gateway's modules, as it derives them from Jupyter Server's in a loop. All stand in a list
`default_handlers`, which is what is routed.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

PACKAGE = "jupyter_kernel_gateway"


def stock_handler(module: ModuleType, name: str) -> Any:
    """Return the class `name` among the `default_handlers` of one of Kernel Gateway's modules.

    Raises ImportError with a sentence for the administrator when the installed release has none: kg2at's handler would
    stand for no route then.
    """
    for _, handler, *_ in getattr(module, "default_handlers", ()):
        if handler.__name__ == name:
            return handler
    raise ImportError(
        f"{PACKAGE} {_installed()} routes no {name} in {module.__name__}.default_handlers, from which kg2at derives "
        f"its own. Install a release that has it, as 3.0.1: pip install '{PACKAGE}==3.0.1'; or a newer kg2at."
    )


def _installed() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "(of an unknown version)"
