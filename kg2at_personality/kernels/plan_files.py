"""The files that a plan was made from, by what the system says of each: a change of one is seen without reading it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..spark.conf_dir import conf_dir_of
from ..spark.spark_defaults import NAME as DEFAULTS
from ..spark.spark_env import SCRIPT
from .launch.plan import Plan

#: Device, inode, size and time of the last change; None: there is no such file.
Identity = tuple[int, int, int, int] | None


class PlanFiles:
    """Those of one plan, as they were at the last look. All of it is blocking: it looks at a few files."""

    def __init__(self, plan: Plan) -> None:
        self._seen: dict[str, Identity] = dict.fromkeys(_paths(plan))
        self.look()

    def look(self) -> None:
        """Take them as they are now."""
        self._seen = {path: _identity(path) for path in self._seen}

    def have_changed(self) -> bool:
        """Return whether one of them has been replaced, written, made or removed since."""
        return any(_identity(path) != seen for path, seen in self._seen.items())


def _paths(plan: Plan) -> Iterable[str]:
    """Return Spark's configuration, and what tells Spark, Java and Toree or Python from others in the same place."""
    found, before = plan.installation, {"SPARK_CONF_DIR": plan.conf_dir} if plan.conf_dir else os.environ
    # spark-env.sh may set another directory, in which the other file is then.
    folders = {conf_dir_of(before), conf_dir_of(plan.conf.environ)}
    yield from (os.path.join(folder, name) for folder in sorted(filter(None, folders)) for name in (DEFAULTS, SCRIPT))
    yield from (os.path.join(found.spark.home, name) for name in ("", "RELEASE", "jars"))
    yield from (os.path.join(found.java.home, name) for name in ("", "release"))
    yield from plan.runtime.paths


def _identity(path: str) -> Identity:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
