"""`PYTHON .../spark_python -f CONNECTION_FILE`: load this directory as the package `kg2at_spark`, and be a kernel.

As ipykernel_launcher does, nothing but what a user of this Python can import anyway is on sys.path.
"""

from __future__ import annotations

import importlib.util
import os
import sys

PACKAGE = "kg2at_spark"


def load(directory: str) -> None:
    """Make the directory importable as the package, and by no other way."""
    if sys.path and os.path.abspath(sys.path[0]) in (directory, os.getcwd()):
        del sys.path[0]  # IPython's InteractiveShellApp.init_path puts the working directory there again
    path = os.path.join(directory, "__init__.py")
    spec = importlib.util.spec_from_file_location(PACKAGE, path, submodule_search_locations=[directory])
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load(os.path.dirname(os.path.abspath(__file__)))
    importlib.import_module(f"{PACKAGE}.spark_kernel").launch()
