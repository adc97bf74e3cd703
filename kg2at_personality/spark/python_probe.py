"""What a Python interpreter tells of itself, and of the packages that a notebook needs.

The text of this module is also run by the interpreter that is asked, which may be Python 3.8 without kg2at.
"""

from __future__ import annotations

import os
import site
import sys
from importlib import metadata, util
from typing import Any


def told() -> dict[str, Any]:
    """Return the interpreter's version, that of ipykernel, and the directories of other packages; "" for none.

    `watched` are the directories that change when a package comes or goes.
    """
    return {
        "version": "{}.{}.{}".format(*sys.version_info),
        "ipykernel": _version("ipykernel") if _folder("ipykernel") else "",
        "pyspark": _folder("pyspark"),
        "py4j": _folder("py4j"),
        "setuptools": _folder("setuptools"),
        "watched": [str(folder) for folder in (*sys.path, site.getusersitepackages())],
    }


def _folder(name: str) -> str:
    """Return the directory of a package, which is not imported."""
    try:
        spec = util.find_spec(name)
    except ValueError:  # somebody put a module of this name into sys.modules
        return ""
    return os.path.dirname(spec.origin) if spec and spec.origin and os.path.isfile(spec.origin) else ""


def _version(name: str) -> str:
    try:
        return metadata.version(name) or ""
    except (metadata.PackageNotFoundError, KeyError):
        return ""
