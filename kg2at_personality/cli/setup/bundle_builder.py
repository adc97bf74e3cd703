"""The contents of a bundle: wheels of kg2at and of all it needs, the starter, and a README."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from .own_wheel import PIP, own_wheel
from .starter import PIP_OPTIONS, StepDisplay, StepFailed, replace, run
from .wheels import OWN_SPARK, bare, embedded, expanded, metadata, needed

MARK = "bundle.json"  # says that a directory is a bundle, and for which Python
SDISTS = ("toree", "pyspark")  # published as sources only; pure Python, so that a wheel built here does everywhere
README = """\
kg2at {version} for {target}, and all it needs there without a network.
Copy all of this there, then:

    python{python} starter.py -i /absolute/path/to/install/into

It needs no more than that Python, and says so if something does not fit. --help tells the options. Run again, it goes
on where it stopped.
"""


class BundleBuilder:
    """Fills a directory, step by step, for a machine with Python `python` (as in "3.11"; "": this one's).

    `platforms`: that machine as pip names it; none: one like this. `embedded`: with Spark and Java.
    """

    def __init__(
        self,
        directory: str,
        progress: StepDisplay,
        platforms: Sequence[str] = (),
        python: str = "",
        embedded: bool = True,
    ) -> None:
        self.directory, self.progress = directory, progress
        self.platforms, self.embedded = list(platforms), embedded
        self.python = python or "{}.{}".format(*sys.version_info[:2])
        self.wheels, self.log = os.path.join(directory, "wheels"), os.path.join(directory, "log")

    def build(self) -> dict[str, Any]:
        """Fill the directory, and return what is in it. Raises StepFailed."""
        self._step("wheel of kg2at", self._own)
        sources = [requirement for requirement in self._embedded() if requirement.name in SDISTS]
        for requirement in sources:
            self._step(f"wheel of {requirement.name}", lambda each=requirement: self._build(each))  # type: ignore[misc]
        self._step("what they need", self._download)
        about = self._about()
        starter = os.path.join(os.path.dirname(os.path.abspath(__file__)), "starter.py")
        shutil.copyfile(starter, os.path.join(self.directory, "starter.py"))
        replace(os.path.join(self.directory, MARK), json.dumps(about, indent=2) + "\n")
        text = README.format(version=about["kg2at"], python=self.python, target=about["target"])
        replace(os.path.join(self.directory, "README"), text)
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.log)
        return about

    def _step(self, name: str, action: Callable[[], str]) -> None:
        self.progress.begin(name)
        try:
            self.progress.end(action())
        except BaseException as error:
            self.progress.end("failed" if isinstance(error, Exception) else "stopped")
            if isinstance(error, StepFailed):
                raise StepFailed(f"{name}: {error}") from error
            raise

    def _own(self) -> str:
        self.wheel = own_wheel(self.wheels)
        return os.path.basename(self.wheel)

    def _embedded(self) -> list[Requirement]:
        """Return what the extra `embedded` names: less without Spark and Java."""
        found = embedded(_requires(self.wheel), self._environment())
        return [each for each in found if self.embedded or each.name in OWN_SPARK]

    def _build(self, requirement: Requirement) -> str:
        before = set(os.listdir(self.wheels))
        self._pip("wheel", "--no-deps", "-w", self.wheels, bare(requirement))
        return ", ".join(set(os.listdir(self.wheels)) - before) or "there"

    def _download(self) -> str:
        """Fetch what kg2at and the embedded packages need, and pip for a Python that has none."""
        self._fetch([self.wheel, "pip", *map(bare, self._embedded())])
        for environment in self._environments():
            for _ in range(10):  # each finds what the one before needs
                if not (wanted := self._left_out(environment)):
                    break
                self._fetch(wanted)
        return f"{len(os.listdir(self.wheels))} wheels"

    def _fetch(self, wanted: list[str]) -> None:
        """Download the wheels `wanted`. Raises StepFailed, as when there is none for that machine.

        With --python-version pip looks at the minor version alone (target_python.py), so that what it takes fits each
        of its patch levels; without, it would take what fits the patch level of the Python that runs this.
        """
        platforms = [tag for platform in self.platforms for tag in expanded(platform)]
        target = ["--python-version", self.python, *(word for tag in platforms for word in ("--platform", tag))]
        self._pip("download", "--only-binary=:all:", "--find-links", self.wheels, "-d", self.wheels, *target, *wanted)

    def _left_out(self, environment: dict[str, str]) -> list[str]:
        """Return what the wheels need on that machine, and pip left out, which heeds the markers of this one alone."""
        there: dict[str, list[Version]] = {}
        for file in glob.glob("*.whl", root_dir=self.wheels):
            name, version, _, _ = parse_wheel_filename(file)
            there.setdefault(name, []).append(version)
        needs = (
            Requirement(line) for name in glob.glob(f"{glob.escape(self.wheels)}/*.whl") for line in _requires(name)
        )
        needs = (each for each in needs if each.marker is None or each.marker.evaluate(environment))
        return sorted({bare(each) for each in needs if not _any_of(there.get(canonicalize_name(each.name), ()), each)})

    def _environments(self) -> Iterator[dict[str, str]]:
        """Yield the markers of that machine that differ from this one's, for the first and the last patch level."""
        for patch in ("0", "99"):
            yield self._environment() | {"python_full_version": f"{self.python}.{patch}"}

    def _environment(self) -> dict[str, str]:
        """Return the markers of that machine that differ from this one's, for any patch level."""
        environment = {"python_version": self.python, "extra": ""}
        systems = {"manylinux": ("linux", "Linux"), "musllinux": ("linux", "Linux"), "linux": ("linux", "Linux")}
        systems |= {"macosx": ("darwin", "Darwin"), "win": ("win32", "Windows")}
        for platform in self.platforms[:1]:
            for prefix, (name, system) in systems.items():
                if platform.startswith(prefix):
                    environment |= {"sys_platform": name, "platform_system": system}
            if machine := re.search(r"(x86_64|aarch64|arm64|ppc64le|s390x|i686|amd64)$", platform):
                environment["platform_machine"] = machine[1]
        return environment

    def _pip(self, command: str, *arguments: str) -> None:
        run([*PIP, command, *PIP_OPTIONS, *arguments], self.log, self.progress.tick)

    def _about(self) -> dict[str, Any]:
        names = sorted(os.listdir(self.wheels))
        return {
            "kg2at": os.path.basename(self.wheel).split("-")[1],
            "python_version": self.python,
            "platform": self.platforms,
            "target": f"Python {self.python} on {needed(names) or 'any machine'}",
            "wheels": names,
            "bytes": sum(os.path.getsize(os.path.join(self.wheels, name)) for name in names),
        }


def _any_of(versions: Iterable[Version], requirement: Requirement) -> bool:
    return any(requirement.specifier.contains(version, prereleases=True) for version in versions)


def _requires(wheel: str) -> list[str]:
    """Return what a wheel needs, by its metadata. Raises StepFailed for a damaged one."""
    try:
        return metadata(wheel).get_all("Requires-Dist") or []
    except ValueError as error:
        raise StepFailed(str(error)) from error
