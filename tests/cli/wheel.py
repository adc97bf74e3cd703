"""Wheels for tests: a name and metadata, nothing to install."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path


def make_wheel(directory: Path, file: str, python: str = "", needs: Sequence[str] = ()) -> Path:
    """The wheel `file`, for Python `python` (as Requires-Python), which needs others."""
    directory.mkdir(parents=True, exist_ok=True)
    name, version, tags = file.removesuffix(".whl").split("-", 2)
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    lines += [f"Requires-Python: {python}\n"] if python else []
    lines += [f"Requires-Dist: {each}\n" for each in needs]
    with zipfile.ZipFile(directory / file, "w") as archive:
        archive.writestr(f"{name}/vendored-9.dist-info/METADATA", "Name: vendored\nRequires-Python: <3\n")
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "".join(lines))
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tags}\n")
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")
    return directory / file
