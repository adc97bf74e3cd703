"""kg2at's own wheel: built from the source checkout, or what is installed packed again."""

from __future__ import annotations

import base64
import glob
import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path

import kg2at_personality

from .starter import PIP_OPTIONS, StepFailed, run

PIP = (sys.executable, "-m", "pip")
#: What of a checkout the wheel is built from.
FOLDERS = ("kg2at_personality", "kernelspecs")
FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


def own_wheel(directory: str) -> str:
    """Make kg2at's wheel in `directory` and return its path. Raises StepFailed.

    It is built from the source checkout if kg2at runs from one, else what is installed is packed again.
    """
    checkout = Path(kg2at_personality.__file__).parents[1]
    if not all((checkout / name).is_file() for name in ("setup.cfg", "pyproject.toml")):
        return repack(importlib.metadata.distribution("kg2at"), directory)
    source = os.path.join(directory, "source")
    try:
        _copy(checkout, source)
        run([*PIP, "wheel", *PIP_OPTIONS, "--no-deps", "-w", directory, source], os.path.join(source, "log"))
    finally:
        shutil.rmtree(source, ignore_errors=True)
    return glob.glob(os.path.join(glob.escape(directory), "kg2at-*.whl"))[0]


def _copy(checkout: Path, source: str) -> None:
    """Copy what the wheel is built from: a build writes beside its sources, and takes what an earlier one left."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in FOLDERS:
        shutil.copytree(checkout / name, os.path.join(source, name), ignore=ignored)
    for name in FILES:
        if (checkout / name).is_file():
            shutil.copy(checkout / name, source)


def repack(distribution: Distribution, directory: str) -> str:
    """Return the path of a wheel made from an installed distribution: the files in its RECORD but those that pip added.

    Raises StepFailed for a distribution that was not installed from a wheel.
    """
    files = {str(file): Path(str(file.locate())) for file in distribution.files or () if _belongs(str(file))}
    info = next((name.split("/")[0] for name in files if name.endswith(".dist-info/WHEEL")), "")
    if not info or len(files) < 4:
        raise StepFailed(f"{distribution.metadata['Name']} can't be packed: it is not installed from a wheel.")
    tags = re.findall(r"(?m)^Tag: (\S+)", files[f"{info}/WHEEL"].read_text())
    parts = list(zip(*(tag.split("-") for tag in tags), strict=True))
    tag = "-".join(".".join(dict.fromkeys(part)) for part in parts)
    path = os.path.join(directory, f"{info.removesuffix('.dist-info')}-{tag}.whl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{info}/RECORD", "\n".join([*_packed(archive, files), f"{info}/RECORD,,", ""]))
    return path


def _belongs(name: str) -> bool:
    """Return whether a file of RECORD was in the wheel: scripts, caches and pip's notes were not."""
    notes = ("/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json")
    return not (name.startswith(("../", "/")) or "__pycache__" in name or name.endswith(notes))


def _packed(archive: zipfile.ZipFile, files: dict[str, Path]) -> Iterator[str]:
    """Put the files into the archive, and yield their lines of RECORD."""
    for name, path in sorted(files.items()):
        content = path.read_bytes()
        archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        yield f"{name},sha256={digest},{len(content)}"
