"""Checks Python and the packages that kg2at requires."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from .finding import Finding, error, ok, warning
from .subject import Subject

LEAST, TESTED = (3, 10), (3, 13)


def python(subject: Subject) -> Iterator[Finding]:
    """Check Python's version, and that every package is installed and new enough."""
    name, said = "Python", f"{platform.python_version()} in {sys.prefix}"
    version = tuple(map(int, platform.python_version().split(".")[:2]))
    if version < LEAST:
        yield error(name, said, "kg2at needs Python 3.10 or later")
    elif version > TESTED:
        yield warning(name, said, "kg2at was tried with 3.10 to 3.13; if something fails, use one of these")
    else:
        yield ok(name, said)
    yield from packages()


def packages() -> Iterator[Finding]:
    """Yield a finding for each requirement that is not met, or one that all are."""
    wanted = [Requirement(line) for line in metadata.requires("kg2at") or ()]
    wanted = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    lacking = [finding for each in wanted if (finding := _lacking(each))]
    yield from lacking or [ok("packages", f"all {len(wanted)} are there, and new enough")]


def _lacking(wanted: Requirement) -> Finding | None:
    remedy = f'pip install "{wanted.name}{wanted.specifier}"'
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return error("packages", f"{wanted.name} is not installed", remedy)
    if wanted.specifier.contains(version, prereleases=True):
        return None
    return error("packages", f"{wanted.name} is {version}, but kg2at needs {wanted.specifier}", remedy)
